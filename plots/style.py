"""How every figure looks: the one look of each method, and how measured and reported points are told apart."""

from contextlib import AbstractContextManager
from typing import NamedTuple

import matplotlib.style
import pandas as pd
from matplotlib.axes import Axes
from matplotlib.ticker import FixedLocator

GREY, PALE = "#666666", "#d5d5d5"
SHADES = "Blues"
PAPER = "hollow: the paper's"
MOST_TICKS = 12


class Look(NamedTuple):
    """Colour, marker and line of a method; markers and lines differ too, for print and for colour-blind readers."""

    color: str
    marker: str
    line: str = "-"


# Of Okabe and Ito, whose colours colour-blind readers can tell apart.
PALETTE = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00")
METHODS = {
    "FastBERT": Look("#0072B2", "o"),
    "BERT": Look("#000000", "D"),
    "DistilBERT": Look("#D55E00", "s"),
    "FastBERT without self-distillation": Look("#009E73", "^", "--"),
    "FastBERT with reverse KL": Look("#CC79A7", "v", "-."),
    "FastBERT as the authors train": Look("#E69F00", "P", ":"),
    "FastBERT without adaptive inference": Look(GREY, "X", ":"),
}
# Of the engine, where seconds are measured: by the batch size from which on it looks so.
BATCHES = {1: Look("#D55E00", "s"), 32: Look("#0072B2", "o"), 256: Look("#009E73", "^")}
# Of serving under load.
WAYS = {"dense": METHODS["BERT"], "waiting": METHODS["DistilBERT"], "ours": METHODS["FastBERT"]}

_RC = {
    "font.family": "sans-serif",
    "font.sans-serif": ["DejaVu Sans", "Verdana", "Arial"],  # the first comes with matplotlib; none is wider
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.titley": 1.0,  # where it stands anyway: finding that out takes an eighth of the time
    "axes.labelsize": 8,
    "legend.fontsize": 7,
    "xtick.labelsize": 7,
    "ytick.labelsize": 7,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "#e6e6e6",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 4,
    "errorbar.capsize": 1.5,
    "figure.dpi": 150,
    "svg.fonttype": "none",  # text stays text, which makes small files
    "svg.hashsalt": "fastbert",  # without it the ids in an SVG are random
}


def applied() -> AbstractContextManager:
    """A context in which figures have this style, whatever the user's own settings are."""
    return matplotlib.style.context(_RC, after_reset=True)


def marks(axes: Axes, rows: pd.DataFrame, x: str, model: str, label: str, marker: str = "", size: float = 5) -> None:
    """Measured accuracies of `rows` on a curve: the markers of `model`, or others in its colour."""
    look = METHODS[model]
    form = {"marker": marker or look.marker, "color": look.color, "ms": size}
    axes.plot(rows[x], rows["accuracy"], ls="", label=label, zorder=4, **form)


def points(
    axes: Axes, rows: pd.DataFrame, x: str, model: str, label: str, size: float = 4.5, **form: str | float
) -> None:
    """Measured accuracies of `rows` with their 95% intervals: the markers of `model`, unless `form` names others."""
    look = METHODS[model]
    form = {"fmt": look.marker, "color": look.color, "ms": size, "elinewidth": 0.8} | form
    axes.errorbar(rows[x], rows["accuracy"], distances(rows, "accuracy"), label=label, zorder=4, **form)


def distances(rows: pd.DataFrame, column: str) -> list[pd.Series]:
    """How far the ends of a column's intervals lie from it, for `errorbar`, which refuses one on the wrong side."""
    ends = rows[column] - rows[f"{column}_low"], rows[f"{column}_high"] - rows[column]
    return [side.clip(lower=0) for side in ends]


def layer_ticks(axes: Axes, layers: int) -> None:
    """Ticks of an x axis of layers: the first, and each further one, or as many as there is room for."""
    step = -(-layers // MOST_TICKS)
    axes.xaxis.set_major_locator(FixedLocator(sorted({1, *range(step, layers + 1, step)})))


def hollow(axes: Axes, x: pd.Series, y: pd.Series, model: str = "FastBERT") -> None:
    """The paper's points, where there are any: the markers of `model`, hollow."""
    known, look = x.notna() & y.notna(), METHODS[model]
    if known.any():
        axes.plot(x[known], y[known], look.marker, color=look.color, mfc="none", mew=0.7, label=PAPER, zorder=3)
