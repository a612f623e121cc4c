"""The LUHA checker (figure 4): is every classifier the more accurate, the lower its uncertainty?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.exit_metrics import failure_auroc
from fastbert_core.trace import Trace
from reproductions.compare import select, tasks_of
from reproductions.monotone import isotonic_p, largest_rise
from reproductions.reported import beside
from reproductions.statistics import Trend, cochran_armitage, holm, rise, spearman, wilson

BINS = 10
EDGES = np.arange(1, BINS) / BINS
MIDDLES = (np.arange(BINS) + 0.5) / BINS
NAMES = [f"{low / BINS:.1f}-{(low + 1) / BINS:.1f}" for low in range(BINS)]
ALPHA = 0.05
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
    layers = trace.correct.shape[1]
    cell = (bin_of(trace.uncertainties) + BINS * np.arange(layers)).ravel()
    samples = np.bincount(cell, minlength=layers * BINS).reshape(layers, BINS)
    right = np.bincount(cell, trace.correct.ravel(), minlength=layers * BINS).reshape(layers, BINS).astype(int)
    rises = np.full((layers, BINS), np.nan)
    for index, filled in enumerate(samples > 0):
        rises[index, np.flatnonzero(filled)[1:]] = rise(right[index, filled], samples[index, filled])
    rises = holm(rises.ravel()).reshape(layers, BINS)
    tested = [_monotone(*counts) for counts in zip(right, samples, strict=True)]
    isotonic = holm([found["isotonic_p"] for found in tested])
    tested = [found | {"isotonic_p": p} for found, p in zip(tested, isotonic, strict=True)]
    trends = [cochran_armitage(*counts, MIDDLES) for counts in zip(right, samples, strict=True)]
    trends = [Trend(trend.z, p) for trend, p in zip(trends, holm([trend.p for trend in trends]), strict=True)]
    tables = [
        _rows(trace, index, right[index], samples[index], rises[index], trends[index], tested[index])
        for index in range(layers)
    ]
    return pd.concat(tables, ignore_index=True)


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


def _monotone(right: np.ndarray, samples: np.ndarray) -> dict[str, float]:
    """What `monotone` makes of a classifier: its test of the bins with samples, its rise of those with FEW or more."""
    any_, many = samples > 0, samples >= FEW
    largest, bound = largest_rise(right[many], samples[many])
    p = isotonic_p(right[any_], samples[any_])
    return {"isotonic_p": p, "largest_rise": 100 * largest, "largest_rise_high": 100 * bound}


def _rows(
    trace: Trace,
    index: int,
    right: np.ndarray,
    samples: np.ndarray,
    rises: np.ndarray,
    trend: Trend,
    tested: dict[str, float],
) -> pd.DataFrame:
    """The rows of the classifier at `index`: one for each bin, and `all`. right, samples (counts) and rises: [bins]."""

    def whole(value: object) -> list:
        return [None] * BINS + [value]

    uncertainty, correct = trace.uncertainties[:, index], trace.correct[:, index]
    right, samples = np.append(right, right.sum()), np.append(samples, samples.sum())
    low, high = wilson(right, samples)
    return pd.DataFrame(
        {
            "task": trace.metadata["task"],
            "seed": trace.metadata["seed"],
            "layer": trace.metadata["layers"][index],
            "classifier": "teacher" if index == trace.correct.shape[1] - 1 else "student",
            "bin": [*NAMES, "all"],
            "samples": samples,
            "percent": 100 * samples / len(correct),
            "accuracy": 100 * right / np.where(samples > 0, samples, np.nan),
            "accuracy_low": 100 * low,
            "accuracy_high": 100 * high,
            "rise_p": np.append(rises, np.nan),
            "spearman": whole(spearman(uncertainty, correct)),
            "auroc": whole(float(failure_auroc(uncertainty[:, None], correct[:, None])[0])),
            "trend_z": whole(trend.z),
            "trend_p": whole(trend.p),
            **{name: whole(value) for name, value in tested.items()},
            "verdict": whole(verdict(trend, rises)),
            "note": np.where(samples < FEW, f"fewer than {FEW} samples", None),
            "run_id": trace.metadata["run_id"],
        }
    )
