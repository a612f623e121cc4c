"""Figure 5, a task: at which layers do samples leave?"""

import pandas as pd
from matplotlib.figure import Figure

from plots.page import finish, heading, note, sheet
from plots.style import GREY, METHODS, hollow, layer_ticks


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of exit_layers.csv: a panel for each speed."""
    rows = tables["exit_layers"]
    speeds = sorted(rows["speed"].unique())
    labels = "exit layer", "share of the test samples (%)"
    figure, axes = sheet(*labels, len(speeds), 3, sharex=True, sharey=True)
    for panel, speed in zip(axes, speeds, strict=True):
        mine = rows[rows["speed"] == speed]
        mean, median = mine["mean_layers"].iloc[0], mine["median_layers"].iloc[0]
        color = METHODS["FastBERT"].color
        panel.bar(mine["exit_layer"], mine["percent"], 0.8, color=color, alpha=0.5, label="FastBERT")
        panel.axvline(mean, color="black", lw=1, label="mean")
        panel.axvline(median, color=GREY, lw=1, ls="--", label="median")
        hollow(panel, mine["exit_layer"], mine["reported_percent"])
        panel.set_title(f"speed {speed:g}: mean {mean:.2f}, median {median:g}")
    layer_ticks(axes[0], rows["exit_layer"].max())
    middle = rows[rows["speed"] == speeds[len(speeds) // 2]].iloc[0]
    text = f"at speed {middle['speed']:g} half of the samples leave by layer {middle['median_layers']:g}"
    return finish(figure, heading(rows, text, "figure 5"), note(rows, tables["runs"]))
