"""The tables of results/bench, seconds instead of FLOPs: whatever columns they have."""

from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from plots.report.markup import html_table
from reproductions.rows import check_widths, csv_rows

WHERE = ("machine", "git_sha", "date")  # what becomes a note
NOTE = "note"


def bench_html(path: Path) -> str:
    """A bench table as it stands, with notes on where it was measured.

    Raises InputError if it is no CSV with a header and rows.
    """
    lines = csv_rows(path)
    if len(lines) < 2:
        raise InputError(f"{path}: found no rows, expected a header and some")
    check_widths(path, lines)
    header, *rows = (row for _, row in lines)
    if len(set(header)) < len(header):
        raise InputError(f"{path}, line 1: found a column twice, expected different ones")
    fields = [f"column_{number}" for number in range(len(header))]  # a form cannot name every header
    field_of = dict(zip(header, fields, strict=True))
    where = [field_of.pop(name) for name in WHERE if name in field_of]
    columns = {name.replace("_", " "): f"{{{field}}}" for name, field in field_of.items()}
    table = pd.DataFrame(rows, columns=fields)
    table[NOTE] = table[where].agg("; ".join, axis=1) if where else ""
    return html_table(table, columns, f"Seconds: {path.stem}", NOTE)
