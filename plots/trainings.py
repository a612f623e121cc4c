"""Trainings beside FastBERT's own, a task: points of accuracy with their intervals, at equal mean layers."""

import math

import pandas as pd
from matplotlib.figure import Figure

from plots.page import INTERVALS, finish, note, sheet
from plots.style import GREY, PALETTE, distances
from reproductions.names import SELF_DISTILLATION

LAST, COLUMNS = "last layer", 5
ABOUT = "Right of the line a training is better than FastBERT's own, self-distillation, at as many mean layers."


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of trainings.csv: a panel for each number of layers, the last layer alone at the end."""
    every = tables["trainings"]
    rows = every[(every["against"] == SELF_DISTILLATION) & (every["training"] != SELF_DISTILLATION)]
    rows = rows[rows["rule"].isin(["entropy", "none"])]
    rows = rows.assign(panel=rows["layers"].map("{} layers".format).replace(f"{every['layers'].max()} layers", LAST))
    names = list(dict.fromkeys(rows.sort_values("layers")["panel"]))
    figure, axes = sheet("points of accuracy", "training", max(len(names), 1), COLUMNS, sharex=True, sharey=True)
    order = sorted(rows["training"].unique(), reverse=True)
    figure.set_figheight(math.ceil(len(names) / COLUMNS) * (0.7 + 0.2 * len(order)))
    for panel, name in zip(axes, names, strict=False):
        mine = rows[rows["panel"] == name]
        ends = distances(mine, "difference")
        panel.errorbar(mine["difference"], [*map(order.index, mine["training"])], xerr=ends, fmt="o", color=PALETTE[0])
        panel.axvline(0, color=GREY, lw=0.8)
        panel.set_title(name)
    axes[0].set_yticks(range(len(order)), order)
    axes[0].set_ylim(-0.6, len(order) - 0.4)
    below, above = (rows["difference_high"] < 0).sum(), (rows["difference_low"] > 0).sum()
    title = f"{every['task'].iloc[0]}: of {len(rows)} intervals {below} lie below self-distillation, {above} above"
    return finish(figure, title, note(rows, tables["runs"], INTERVALS, ABOUT))
