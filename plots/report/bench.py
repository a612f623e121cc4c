"""The tables of results/bench, seconds instead of FLOPs."""

from pathlib import Path

from fastbert_core.errors import InputError
from plots.gallery import checked_table
from plots.report.markup import html_table
from reproductions.columns import TABLES
from reproductions.tables import printed

WHERE = ["machine", "git_sha", "date"]  # what becomes a note
NOTE = "note"


def bench_html(path: Path) -> str:
    """A bench table as it stands, with notes on where it was measured.

    Raises InputError if it has no rows or is not in order, and if no table has its name.
    """
    name = path.stem
    if name not in TABLES:
        raise InputError(f"{path}: found no table of that name, expected one that columns.csv describes")
    rows = printed(checked_table(path.parent, name, {}), name)
    columns = {column.replace("_", " "): f"{{{column}}}" for column in rows.columns.drop(WHERE)}
    notes = ["; ".join(filter(None, where)) for where in rows[WHERE].itertuples(index=False)]
    return html_table(rows.assign(**{NOTE: notes}), columns, f"Seconds: {name}", NOTE)
