"""The LUHA checker (figure 4): is every classifier the more accurate, the lower its uncertainty?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.exit_metrics import failure_auroc
from fastbert_core.trace import Trace
from reproductions.compare import select, tasks_of
from reproductions.monotone import isotonic_p, largest_rise
from reproductions.reported import beside
from reproductions.statistics import ALPHA, Trend, cochran_armitage, holm, rise, spearman, wilson

BINS = 10
EDGES = np.arange(1, BINS) / BINS
MIDDLES = (np.arange(BINS) + 0.5) / BINS
NAMES = [f"{low / BINS:.1f}-{(low + 1) / BINS:.1f}" for low in range(BINS)]
FEW = 30  # samples, below which a bin's note says so


def luha(traces: Sequence[Trace], reported: pd.DataFrame) -> pd.DataFrame:
    """`luha.csv`: for every FastBERT test trace, task and seed, the rows that `check` gives.

    `reported` holds figure 4's accuracies (task, layer, uncertainty_bin, accuracy).
    """
    checks = [check(trace) for task in tasks_of(traces) for trace in select(traces, task)]
    printed = reported.rename(columns={"uncertainty_bin": "bin", "accuracy": "reported_accuracy"})
    columns = ["task", "layer", "bin"]
    return beside(checks, printed[[*columns, "reported_accuracy"]], columns)


def check(trace: Trace) -> pd.DataFrame:
    """Accuracy by uncertainty for every classifier of one trace, and a verdict on each.

    A row for each bin of width 0.1, and the row `all` with what is said of the classifier as a whole. The trace's
    trends are one family of p-values, and so are its rises between neighbouring bins (empty ones are passed over).
    """
    layers = trace.metadata["layers"]
    shape = len(layers), BINS
    cell = (bin_of(trace.uncertainties) + BINS * np.arange(len(layers))).ravel()
    samples = np.bincount(cell, minlength=len(layers) * BINS).reshape(shape)
    right = np.bincount(cell, trace.correct.ravel(), minlength=len(layers) * BINS).reshape(shape).astype(int)
    rises = np.full(shape, np.nan)
    for index, filled in enumerate(samples > 0):
        rises[index, np.flatnonzero(filled)[1:]] = rise(right[index, filled], samples[index, filled])
    rises = holm(rises.ravel()).reshape(shape)
    whole = pd.DataFrame([_whole(trace, *of) for of in zip(range(len(layers)), right, samples, strict=True)])
    for column in ("isotonic_p", "trend_p"):
        whole[column] = holm(whole[column])
    whole["verdict"] = list(map(verdict, map(Trend, whole["trend_z"], whole["trend_p"]), rises))
    samples, right = (np.column_stack([counts, counts.sum(axis=1)]).ravel() for counts in (samples, right))
    low, high = wilson(right, samples)
    classifiers = ["student"] * (len(layers) - 1) + ["teacher"]
    rows = {
        "task": trace.metadata["task"],
        "seed": trace.metadata["seed"],
        "layer": np.repeat(layers, BINS + 1),
        "classifier": np.repeat(classifiers, BINS + 1),
        "bin": [*NAMES, "all"] * len(layers),
        "samples": samples,
        "percent": 100 * samples / len(trace),
        "accuracy": 100 * right / np.where(samples > 0, samples, np.nan),
        "accuracy_low": 100 * low,
        "accuracy_high": 100 * high,
        "rise_p": np.column_stack([rises, np.full(len(layers), np.nan)]).ravel(),
        "note": np.where(samples < FEW, f"fewer than {FEW} samples", None),
        "run_id": trace.metadata["run_id"],
    }
    return pd.DataFrame(rows).merge(whole, on=["layer", "bin"], how="left")


def _whole(trace: Trace, index: int, right: np.ndarray, samples: np.ndarray) -> dict:
    """What is said of the classifier at `index` as a whole, p-values uncorrected; right, samples: counts [bins].

    `monotone` tests the bins with samples, and takes its rise of those with FEW or more.
    """
    uncertainty, correct = trace.uncertainties[:, index], trace.correct[:, index]
    trend, filled, many = cochran_armitage(right, samples, MIDDLES), samples > 0, samples >= FEW
    largest, bound = largest_rise(right[many], samples[many])
    return {
        "layer": trace.metadata["layers"][index],
        "bin": "all",
        "spearman": spearman(uncertainty, correct),
        "auroc": float(failure_auroc(uncertainty[:, None], correct[:, None])[0]),
        "trend_z": trend.z,
        "trend_p": trend.p,
        "isotonic_p": isotonic_p(right[filled], samples[filled]),
        "largest_rise": 100 * largest,
        "largest_rise_high": 100 * bound,
    }


def bin_of(uncertainties: np.ndarray) -> np.ndarray:
    """Index of the bin [low, high) of each uncertainty, 0 to 9; the last holds 1 too."""
    return np.digitize(uncertainties, EDGES)


def verdict(trend: Trend, rises: np.ndarray) -> str:
    """`holds`, `fails` or `undecided` for one classifier, from Holm-corrected p-values.

    It holds if accuracy falls significantly with uncertainty and no bin is significantly more accurate than the one
    before it; it fails if the trend is significantly reversed, or such a rise is significant.
    """
    significant = trend.p < ALPHA  # NaN, where there is no trend to see, is not
    if (significant and trend.z > 0) or np.any(rises < ALPHA):
        return "fails"
    return "holds" if significant else "undecided"
