"""Figure 6, a task: how unsure is each layer of the samples that reach it?

Shaded by number, not by the share of those that reach a layer: where a single sample does, it is no 100%.
"""

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
    """From one task's rows of uncertainty.csv: a panel for each speed."""
    rows = tables["uncertainty"]
    speeds = sorted(rows["speed"].unique())
    figure, axes = sheet("layer", "uncertainty", len(speeds), 2, sharex=True, sharey=True)
    most = max(rows["samples"].max(), 10)
    for panel, speed in zip(axes, speeds, strict=True):
        mesh = _panel(panel, rows[rows["speed"] == speed], speed, LogNorm(PALEST, most))
    ticks = [10**power for power in range(len(str(most)))]
    bar = figure.colorbar(mesh, ax=axes, ticks=ticks, format="{x:,.0f}", aspect=40, pad=0.01)
    bar.ax.minorticks_off()
    bar.ax.set_ylim(1, most)
    bar.set_label("samples in a bin (logarithmic); white: none")
    speed = speeds[len(speeds) // 2]
    reach = rows[rows["speed"] == speed].groupby("layer")["samples"].sum()
    sure = 100 * (1 - reach.get(2, 0) / reach[1])
    text = f"at speed {speed:g} layer 1 is sure enough of {sure:.0f}% of the samples"
    return finish(figure, heading(rows, text, "figure 6"), note(rows, tables["runs"], ABOUT))


def _panel(axes: Axes, rows: pd.DataFrame, speed: float, norm: LogNorm) -> QuadMesh:
    """One speed: a column for each layer, shaded by number."""
    counts = rows.pivot(index="bin_low", columns="layer", values="samples")  # [bins, layers]
    reaching = rows.groupby("layer")["samples"].sum()
    layers = counts.columns.to_numpy(float)
    edges = [*layers - 0.5, layers[-1] + 0.5], [*counts.index, rows["bin_high"].max()]
    mesh = axes.pcolormesh(*edges, counts.where(counts > 0).to_numpy(float), cmap=SHADES, norm=norm)
    for layer, share in (100 * reaching / reaching.iloc[0]).items():
        text = "<1" if 0 < share < 1 else f"{share:.0f}"
        axes.text(layer, 1.01, text, size=5.5, ha="center", va="bottom")
    if speed > 0:
        axes.axhline(speed, color=METHODS["DistilBERT"].color, lw=0.9, ls="--", label="speed: samples below it leave")
    axes.set_title(f"speed {speed:g}", pad=10)
    axes.set_ylim(0, 1)
    axes.grid(False)
    layer_ticks(axes, int(layers[-1]))
    return mesh
