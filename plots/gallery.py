"""All figures of one folder of results: what its tables allow is drawn, and what they do not is named."""

from collections import defaultdict
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

import numpy as np
import pandas as pd
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.backends.backend_svg import FigureCanvasSVG
from matplotlib.figure import Figure
from PIL import Image

from fastbert_core.errors import InputError, one_line, reason
from fastbert_core.files import atomic_write, within
from plots.registry import BENCH_FIGURES, FIGURES, Drawing
from plots.style import applied
from reproductions.columns import TABLES
from reproductions.names import BENCH, FOREIGN
from reproductions.tables import read_table, table_path


def _save_png(figure: Figure, file: BinaryIO) -> None:
    """Save a PNG of at most 256 colours, a quarter of the room of all of them."""
    canvas = FigureCanvasAgg(figure)
    canvas.draw()
    image = Image.fromarray(np.asarray(canvas.buffer_rgba())).quantize(method=Image.Quantize.FASTOCTREE)
    image.save(file, "png", optimize=True)


# Straight to the canvas: `Figure.savefig` draws everything twice. SVG comes last, since it changes the figure's dpi.
# The metadata leave out the time and the version of matplotlib.
SAVE: dict[str, Callable[[Figure, BinaryIO], None]] = {
    "png": _save_png,
    "svg": lambda figure, file: FigureCanvasSVG(figure).print_svg(file, metadata={"Date": None, "Creator": None}),
}


@dataclass
class Drawn:
    """What became of a folder's figures: the files written, each with what is seen there; and by reason the names
    of the figures that were not drawn, because nothing allows them (`absent`) or because a table is missing or not in
    order (`broken`)."""

    files: dict[Path, str] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))


def draw_folder(results_dir: Path, folder: Path) -> Drawn:
    """Draw every figure that the tables of `results_dir` allow into `folder`, as SVG and PNG.

    A task's figures lie in a folder of its name. Drawing again gives the same bytes. Figures that the tables no longer
    allow are removed; those of a broken table are left alone.
    """
    drawn, stored = Drawn(), {}
    figures = BENCH_FIGURES if results_dir.name == BENCH else FIGURES
    for name, drawing in figures.items():
        try:
            tables = _tables(results_dir, drawing, stored)
            files = {} if tables is None else _draw(name, drawing, tables, folder)
        except InputError as error:
            drawn.broken[str(error)].append(name)
            continue
        except (ArithmeticError, LookupError, TypeError, ValueError) as error:  # each row in order, but some missing
            paths = ", ".join(str(table_path(results_dir, table)) for table in drawing.tables)
            why = f"{paths}: found rows that make no figure ({type(error).__name__}: {reason(error)})"
            drawn.broken[one_line(why)].append(name)
            continue
        if tables is None:
            why = f"no trace {drawing.traces}" if drawing.traces else f"no {drawing.tables[0]}.csv"
            drawn.absent[why].append(name)
        for old in {path for form in SAVE for path in folder.rglob(f"{name}.{form}")} - set(files):
            old.unlink()
        drawn.files |= files
    return drawn


def _tables(results_dir: Path, drawing: Drawing, stored: dict[str, pd.DataFrame]) -> dict[str, pd.DataFrame] | None:
    """The tables of `drawing`, and `runs` if they name any; None if nothing allows them. `stored` keeps what was read.

    What no trace gives is allowed by its first table, which another command makes. Raises InputError if a table is
    missing although another one or a trace is there, or is not in order.
    """
    telling = drawing.tables if drawing.traces else drawing.tables[:1]
    found = any(table_path(results_dir, name).exists() for name in telling)
    if not found and not (drawing.traces and any(results_dir.glob(f"traces/*/{drawing.traces}"))):
        return None
    tables = {name: checked_table(results_dir, name, stored) for name in drawing.tables}
    if all(map(is_foreign, tables.values())):
        return tables | {"runs": pd.DataFrame(columns=list(TABLES["runs"]))}
    named = any("run_id" in TABLES[name] for name in drawing.tables)
    return tables | ({"runs": checked_table(results_dir, "runs", stored)} if named else {})


def is_foreign(table: pd.DataFrame) -> bool:
    """Whether a table is of a model that is not ours, which no run is behind."""
    return "training" in table and bool((table["training"] == FOREIGN).all())


def checked_table(results_dir: Path, name: str, stored: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """Read a table once, which must have rows, and runs that runs.csv knows; `stored` keeps it and runs.csv.

    Raises InputError if it, or the runs.csv that it refers to, is missing or not in order.
    """
    if name in stored:
        return stored[name]
    table, path = read_table(results_dir, name), table_path(results_dir, name)
    if table.empty:
        raise InputError(f"{path}: found no rows, expected some")
    if name != "runs" and "run_id" in table and not is_foreign(table):
        runs = checked_table(results_dir, "runs", stored)
        unknown = set(table["run_id"].str.split(";").explode()) - set(runs["run_id"])
        if unknown:
            raise InputError(f"{path}: found run_id {min(unknown)}, expected one that stands in runs.csv")
    stored[name] = table
    return table


def _draw(name: str, drawing: Drawing, tables: dict[str, pd.DataFrame], folder: Path) -> dict[Path, str]:
    if not drawing.by_task:
        return _save(name, drawing, tables, folder)
    files = {}
    for task in tables[drawing.tables[0]]["task"].unique():
        mine = {key: table[table["task"] == task] for key, table in tables.items()}
        files |= _save(name, drawing, mine, within(folder, task))
    return files


def _save(name: str, drawing: Drawing, tables: dict[str, pd.DataFrame], folder: Path) -> dict[Path, str]:
    with applied():
        figure = drawing.draw(tables)
        for form, save in SAVE.items():
            with atomic_write(folder / f"{name}.{form}") as file:
                save(figure, file)
    return dict.fromkeys((folder / f"{name}.{form}" for form in SAVE), seen(figure))


def seen(figure: Figure) -> str:
    """What a figure shows, in words: its title, and those of its panels."""
    title = figure.texts[0].get_text() if figure.texts else ""
    panels = [axes.get_title().replace("\n", ", ") for axes in figure.axes]
    return ". Panels: ".join(filter(None, (title, "; ".join(filter(None, panels)))))
