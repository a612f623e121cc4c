"""Figure 3, all tasks at a glance."""

import pandas as pd
from matplotlib.figure import Figure

from plots import curves
from plots.note import INTERVALS, note, titled
from plots.page import finish, sheet

PAPER_NOTE = "The paper's points are of its own data and encoder; table2.csv says for each task how ours differ."


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of speed_accuracy.csv and table2.csv."""
    rows, models = curves.fastbert(tables), tables["table2"]
    tasks = rows["task"].unique()
    figure, axes = sheet("FLOPs speedup over BERT (×)", "accuracy (%)", len(tasks), 3)
    for panel, task in zip(axes, tasks, strict=True):
        mine = rows[rows["task"] == task]
        curves.curve(panel, mine, "speedup")
        curves.rivals(panel, models[models["task"] == task], "speedup")
        curves.papers_curve(panel, mine, "speedup")
        panel.set_title(titled(mine, tables["runs"]))
        panel.set_xlim(left=0)
    title = "Accuracy on the test set against FLOPs speedup (figure 3)"
    return finish(figure, title, note(pd.concat([rows, models]), tables["runs"], INTERVALS, PAPER_NOTE))
