"""Figure 6, a task: how unsure is each layer of the samples that reach it?

Shaded by number, not by the share of those that reach a layer: where a single sample does, it is no 100%.
"""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import LogNorm
from matplotlib.figure import Figure

from plots.page import finish, heading, note, sheet
from plots.style import METHODS, SHADES, layer_ticks

PALEST = 0.4  # samples, so that one is told from none
ABOUT = "Above each layer: the share of the test samples that reach it (%). Bins of 0.05, the upper end excluded."


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of uncertainty.csv: a panel for each speed. exit_layers.csv names the runs behind them."""
    rows = tables["uncertainty"]
    speeds = sorted(rows["speed"].unique())
    figure, axes = sheet("layer", "uncertainty", len(speeds), 2, sharex=True, sharey=True)
    most = max(rows["samples"].max(), 10)
    width = (rows["bin_high"] - rows["bin_low"]).iloc[0]
    bins, layers = np.arange(round(1 / width)), np.arange(1, rows["layer"].max() + 1)
    for panel, speed in zip(axes, speeds, strict=True):
        mine = rows[rows["speed"] == speed].assign(bin=(rows["bin_low"] / width).round().astype(int))
        counts = mine.pivot(index="bin", columns="layer", values="samples").reindex(index=bins, columns=layers)
        mesh = _panel(panel, counts, speed, LogNorm(PALEST, most))
    ticks = [10**power for power in range(len(str(most)))]
    bar = figure.colorbar(mesh, ax=axes, ticks=ticks, format="{x:,.0f}", aspect=40, pad=0.01)
    bar.ax.minorticks_off()
    bar.ax.set_ylim(1, most)
    bar.set_label("samples in a bin (logarithmic); white: none")
    speed = speeds[len(speeds) // 2]
    reach = rows[rows["speed"] == speed].groupby("layer")["samples"].sum()
    sure = 100 * (1 - reach.get(2, 0) / reach[1])
    text = f"at speed {speed:g} layer 1 is sure enough of {sure:.1f}% of the samples"
    return finish(figure, heading(rows, text, "figure 6"), note(tables["exit_layers"], tables["runs"], ABOUT))


def _panel(axes: Axes, counts: pd.DataFrame, speed: float, norm: LogNorm) -> QuadMesh:
    """One speed: a column for each layer, shaded by `counts` [bins, layers], empty where no sample is."""
    reaching, (bins, layers) = counts.sum(), counts.shape
    edges = np.arange(layers + 1) + 0.5, np.linspace(0, 1, bins + 1)
    mesh = axes.pcolormesh(*edges, counts.to_numpy(float), cmap=SHADES, norm=norm)
    for layer, share in (100 * reaching / reaching.iloc[0]).items():
        text = "<1" if 0 < share < 1 else f"{share:.0f}"
        axes.text(layer, 1.01, text, size=5.5, ha="center", va="bottom")
    if speed > 0:
        axes.axhline(speed, color=METHODS["DistilBERT"].color, lw=0.9, ls="--", label="speed: samples below it leave")
    axes.set_title(f"speed {speed:g}", pad=10)
    axes.set_ylim(0, 1)
    axes.grid(False)
    layer_ticks(axes, layers)
    return mesh
