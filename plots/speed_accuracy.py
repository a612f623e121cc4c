"""Figure 3, a task: accuracy against FLOPs speedup, and against mean layers, which encoders of all widths share."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import curves
from plots.page import INTERVALS, comparison, finish, heading, note, sheet
from plots.style import marks
from reproductions.speeds import CHOSEN


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of speed_accuracy.csv and table2.csv."""
    rows, models = curves.fastbert(tables), tables["table2"]
    figure, axes = sheet("", curves.ACCURACY, 2, 2, sharey=True)
    for panel, x in zip(axes, curves.LABELS, strict=True):
        curves.curve(panel, rows, x)
        _table_speeds(panel, models[models["model"] == "FastBERT"], x)
        curves.rivals(panel, models, x)
        curves.papers_curve(panel, rows, x)
        curves.label(panel, rows, x)
    about = INTERVALS, curves.UNMEASURED, curves.BELOW_ONE, comparison(models, rows)
    title = heading(rows, _found(models), "figure 3")
    return finish(figure, title, note(pd.concat([rows, models]), tables["runs"], *about))


def _found(models: pd.DataFrame) -> str:
    chosen, bert = (models[at] for at in (models["setting"].str.endswith(CHOSEN), models["model"] == "BERT"))
    if chosen.empty or bert.empty:
        return "accuracy against cost"
    lost, speedup = bert["accuracy"].iloc[0] - chosen["accuracy"].iloc[0], chosen["speedup"].iloc[0]
    return f"{0 + lost:.2f} points lost at {speedup:.1f}×, the speed chosen on dev"


def _table_speeds(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """Where FastBERT's rows of table 2 lie on the curve."""
    chosen = rows["setting"].str.endswith(CHOSEN)
    for found, marker, size in ((rows[~chosen], "o", 5), (rows[chosen], "*", 9)):
        if not found.empty:
            speeds = ", ".join(found["setting"].str.removeprefix("speed="))
            marks(axes, found, x, "FastBERT", f"FastBERT at speed {speeds}", marker, size)
