"""What the speed-accuracy figures share: a curve with its band, and the models that stand beside it."""

import numpy as np
import pandas as pd
from matplotlib.axes import Axes

from fastbert_core.flops import BERT_BASE, dense_flops, paper_flops
from plots.style import METHODS, hollow, layer_ticks, points

PAPER_DENSE = dense_flops(BERT_BASE) / 1e6  # MFLOPs of the paper's BERT
PAPER_LAYER = paper_flops(BERT_BASE, 1) / 1e6  # MFLOPs of a layer that the paper's FastBERT executes

_REPORTED = {"speedup": "reported_speedup", "mean_layers": "mean_layers"}  # models of fixed depth: as many layers
LABELS = {"speedup": "FLOPs speedup over BERT (×)", "mean_layers": "mean executed layers"}
ACCURACY = "accuracy on the test set (%)"
FAR = 0.1  # of the curve's extent, between two neighbours of its 101 speeds
UNMEASURED = "Faint dots join neighbouring speeds that lie far apart: none is measured between."
BELOW_ONE = "Speedup below 1: executed layers run a student each, BERT runs none."


def fastbert(tables: dict[str, pd.DataFrame]) -> pd.DataFrame:
    """The rows of speed_accuracy.csv without the ablation's trainings."""
    rows = tables["speed_accuracy"]
    return rows[rows["model"] == "FastBERT"]


def curve(axes: Axes, rows: pd.DataFrame, x: str, model: str = "FastBERT", band: bool = True) -> None:
    """Accuracy along `x`, one of LABELS, over all speeds of `model`, with its `band`; `rows` of speed_accuracy.csv.

    Speeds that are neighbours and yet lie far apart along `x` are joined by faint dots alone.
    """
    rows, look = rows[rows["model"] == model], METHODS[model]
    if rows.empty:
        return
    far = rows[x].diff().abs() > FAR * np.ptp(rows[x])
    if far.any():
        axes.plot(rows[x], rows["accuracy"], ls=(0, (1, 4)), lw=0.7, color=look.color)
    for _, part in rows.groupby(far.cumsum()):
        axes.plot(part[x], part["accuracy"], look.line, marker=".", ms=2, color=look.color, label=model)
        if band:
            axes.fill_between(part[x], part["accuracy_low"], part["accuracy_high"], color=look.color, alpha=0.15, lw=0)


def papers_curve(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """The paper's points of figure 3; `rows` of speed_accuracy.csv."""
    speedup = rows["reported_speedup"]
    hollow(axes, PAPER_DENSE / PAPER_LAYER / speedup if x == "mean_layers" else speedup, rows["reported_accuracy"])


def rivals(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """BERT and the DistilBERTs, measured and as the paper has them; `rows` of table2.csv."""
    for model in ("BERT", "DistilBERT"):
        found = rows[rows["model"] == model]
        if found.empty:
            continue
        points(axes, found, x, model, label=model)
        hollow(axes, found[_REPORTED[x]], found["reported_accuracy"], model)


def label(axes: Axes, rows: pd.DataFrame, x: str) -> None:
    """Name the x axis, which starts at 0 or at layer 1; at speed 0 all layers of the encoder are executed."""
    axes.set_xlabel(LABELS[x])
    if x == "mean_layers":
        layer_ticks(axes, round(rows[x].max()))
    else:
        axes.set_xlim(left=0)
