"""Figure 6, a task: how unsure is each layer of the samples that reach it?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.collections import QuadMesh
from matplotlib.colors import PowerNorm
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.note import note
from plots.page import finish, sheet
from plots.style import METHODS, SHADES

NORM = PowerNorm(0.4, 0, 100)  # small shares must show: most samples crowd into the lowest bin
TICKS = (0, 1, 5, 20, 50, 100)
ABOUT = "Above each layer: the share of the test samples that reach it (%). Bins of 0.05, the upper end excluded."


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of uncertainty.csv: a panel for each speed."""
    rows = tables["uncertainty"]
    speeds = sorted(rows["speed"].unique())
    figure, axes = sheet("layer", "uncertainty", len(speeds), 2, sharex=True, sharey=True)
    for panel, speed in zip(axes, speeds, strict=True):
        mesh = _panel(panel, rows[rows["speed"] == speed], speed)
    bar = figure.colorbar(mesh, ax=axes, ticks=TICKS, format="%g", aspect=40, pad=0.01)
    bar.set_label("share of the samples that reach the layer (%)")
    title = f"{rows['task'].iloc[0]}: uncertainty by layer, of the samples that reach it (figure 6)"
    return finish(figure, title, note(rows, tables["runs"], ABOUT))


def _panel(axes: Axes, rows: pd.DataFrame, speed: float) -> QuadMesh:
    """One speed: a column for each layer, shaded by share."""
    shares = rows.pivot(index="bin_low", columns="layer", values="percent")  # [bins, layers]
    reaching = rows.groupby("layer")["samples"].sum()
    layers = shares.columns.to_numpy(float)
    edges = [*layers - 0.5, layers[-1] + 0.5], [*shares.index, rows["bin_high"].max()]
    mesh = axes.pcolormesh(*edges, shares.to_numpy(float), cmap=SHADES, norm=NORM)
    for layer, share in (100 * reaching / reaching.iloc[0]).items():
        text = "<1" if 0 < share < 1 else f"{share:.0f}"
        axes.text(layer, 1.01, text, size=5.5, ha="center", va="bottom")
    if speed > 0:
        axes.axhline(speed, color=METHODS["DistilBERT"].color, lw=0.9, ls="--", label="speed: samples below it leave")
    axes.set_title(f"speed {speed:g}", pad=10)
    axes.set_ylim(0, 1)
    axes.grid(False)
    axes.xaxis.set_major_locator(MaxNLocator(integer=True, nbins=12))
    return mesh
