"""Figure 3, a task: accuracy against FLOPs speedup, and against mean layers, which encoders of all widths share."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import curves
from plots.page import INTERVALS, comparison, finish, heading, note, sheet
from plots.style import marks
from reproductions.speeds import CHOSEN, at_chosen_speed


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of speed_accuracy.csv, table2.csv and comparisons.csv."""
    rows, models = curves.fastbert(tables), tables["table2"]
    figure, axes = sheet("", curves.ACCURACY, 2, 2, sharey=True)
    for panel, x in zip(axes, curves.LABELS, strict=True):
        curves.curve(panel, rows, x)
        _table_speeds(panel, models[models["model"] == "FastBERT"], x)
        curves.rivals(panel, models, x)
        curves.papers_curve(panel, rows, x)
        curves.label(panel, rows, x)
    about = INTERVALS, curves.UNMEASURED, curves.BELOW_ONE, comparison(models, rows)
    title = heading(rows, _found(at_chosen_speed(models, tables["comparisons"])), "figure 3")
    return finish(figure, title, note(pd.concat([rows, models]), tables["runs"], *about))


def _found(chosen: pd.DataFrame) -> str:
    told = [f"{row.loss:.2f} points lost at {row.speedup:.1f}×, the speed chosen on dev" for row in chosen.itertuples()]
    return told[0] if told else "accuracy against cost"


def _table_speeds(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """Where FastBERT's rows of table 2 lie on the curve."""
    chosen = rows["setting"].str.endswith(CHOSEN)
    for found, marker, size in ((rows[~chosen], "o", 5), (rows[chosen], "*", 9)):
        if not found.empty:
            speeds = ", ".join(found["setting"].str.removeprefix("speed="))
            marks(axes, found, x, "FastBERT", f"FastBERT at speed {speeds}", marker, size)
