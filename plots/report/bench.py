"""What results/bench says, in seconds instead of FLOPs: its tables, and what a task's slider shows of them."""

from pathlib import Path

from fastbert_core.errors import InputError
from plots.gallery import checked_table
from plots.report.cells import Notes, Table, table
from reproductions.columns import TABLES
from reproductions.tables import printed, table_path

WHERE = ["machine", "git_sha", "date"]  # what becomes a footnote
TIMED = "standard"  # the profile whose models are timed


def bench_table(path: Path, notes: Notes) -> Table:
    """A bench table as it stands, with footnotes on where it was measured.

    Raises InputError if it has no rows or is not in order, and if no table has its name.
    """
    name = path.stem
    if name not in TABLES:
        raise InputError(f"{path}: found no table of that name, expected one that columns.csv describes")
    rows = printed(checked_table(path.parent, name, {}), name)
    columns = {column.replace("_", " "): f"{{{column}}}" for column in rows.columns.drop(WHERE)}
    where = ["; ".join(filter(None, row)) for row in rows[WHERE].itertuples(index=False)]
    return table(rows, columns, f"Seconds: {name}", [[notes[text]] if text else [] for text in where])


def seconds(folder: Path) -> dict[str, list[dict]]:
    """By task the speedups in seconds that were measured at its smallest batch of several texts, in order.

    Nothing where none was; a table that is not in order is told where it is shown.
    """
    try:
        rows = checked_table(folder, "efficiency", {}) if table_path(folder, "efficiency").exists() else None
    except InputError:
        rows = None
    if rows is None:
        return {}
    rows = rows[(rows["mode"] == "throughput") & (rows["precision"] == "fp32") & (rows["speed"] > 0)]
    shown = ["flops_speedup", "measured_speedup", "batch", "device"]
    return {
        task: mine[mine["batch"] == mine["batch"].min()].sort_values("flops_speedup")[shown].to_dict("records")
        for task, mine in rows.groupby("task")
    }
