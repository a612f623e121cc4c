"""All figures of one profile: what its tables allow is drawn, and what they do not is named."""

from dataclasses import dataclass, field
from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write
from plots.registry import FIGURES, Drawing
from plots.style import applied
from reproductions.results import read_table, table_path

METADATA = {"svg": {"Date": None, "Creator": None}, "png": {"Software": None}}  # nothing that changes with time


@dataclass
class Drawn:
    """What became of a profile's figures: the files written; and by reason the names of the figures that were not
    drawn, because no trace allows them (`absent`) or because a table is missing or not in order (`broken`)."""

    files: list[Path] = field(default_factory=list)
    absent: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)


def draw_profile(results_dir: Path, folder: Path) -> Drawn:
    """Draw every figure that the tables of `results_dir` allow into `folder`, as SVG and PNG.

    A task's figures lie in a folder of its name. Drawing again gives the same bytes. Figures that the tables no longer
    allow are removed; those of a broken table are left alone.
    """
    drawn, stored = Drawn(), {}
    for name, drawing in FIGURES.items():
        try:
            tables = _tables(results_dir, drawing, stored)
        except InputError as error:
            drawn.broken.setdefault(str(error), []).append(name)
            continue
        if tables is None:
            drawn.absent.setdefault(f"no trace {drawing.traces}", []).append(name)
        files = [] if tables is None else _draw(name, drawing, tables, folder)
        for old in {path for form in METADATA for path in folder.rglob(f"{name}.{form}")} - set(files):
            old.unlink()
        drawn.files += files
    return drawn


def _tables(results_dir: Path, drawing: Drawing, stored: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame] | None:
    """The tables of `drawing` and `runs`, None if no trace allows them; `stored` keeps those that were read before.

    Raises InputError if a table is missing although another one or a trace is there, or is not in order.
    """
    found = any(table_path(results_dir, name).exists() for name in drawing.tables)
    if not found and not any(results_dir.glob(f"traces/*/{drawing.traces}")):
        return None
    for name in ("runs", *drawing.tables):
        if name not in stored:
            stored[name] = _checked(results_dir, name, stored)
    return {name: stored[name] for name in ("runs", *drawing.tables)}


def _checked(results_dir: Path, name: str, stored: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Read a table, which must have rows, and runs that runs.csv knows."""
    table, path = read_table(results_dir, name), table_path(results_dir, name)
    if table.empty:
        raise InputError(f"{path}: found no rows, expected some")
    if name != "runs":
        unknown = set(table["run_id"].str.split(";").explode()) - set(stored["runs"]["run_id"])
        if unknown:
            raise InputError(f"{path}: found run_id {min(unknown)}, expected one that stands in runs.csv")
    return table


def _draw(name: str, drawing: Drawing, tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    if not drawing.by_task:
        return _save(name, drawing, tables, folder)
    files = []
    for task in tables[drawing.tables[0]]["task"].unique():
        mine = {key: table[table["task"] == task] for key, table in tables.items()}
        files += _save(name, drawing, mine, folder / task)
    return files


def _save(name: str, drawing: Drawing, tables: dict[str, pd.DataFrame], folder: Path) -> list[Path]:
    paths = [folder / f"{name}.{form}" for form in METADATA]
    with applied():
        figure = drawing.draw(tables)
        for path in paths:
            form = path.suffix[1:]
            with atomic_write(path) as file:
                figure.savefig(file, format=form, metadata=METADATA[form])
    return paths
