"""The LUHA checker (figure 4): is it true of every classifier that the lower its uncertainty, the higher its accuracy?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.trace import Trace
from reproductions.averaged import select, tasks_of
from reproductions.statistics import Trend, auroc, cochran_armitage, holm, rise, spearman, wilson

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
    if not checks:
        return pd.DataFrame()
    printed = reported.rename(columns={"uncertainty_bin": "bin", "accuracy": "reported_accuracy"})
    columns = ["task", "layer", "bin"]
    return pd.concat(checks).merge(printed[[*columns, "reported_accuracy"]], on=columns, how="left")


def check(trace: Trace) -> pd.DataFrame:
    """Accuracy by uncertainty for every classifier of one trace, and a verdict on each.

    A row for each bin of width 0.1, and the row `all` with what is said of the classifier as a whole. The trace's trends
    are one family of p-values, and so are its rises between neighbouring bins (empty bins are passed over).
    """
    bins = bin_of(trace.uncertainties)  # [samples, layers]
    tables = [_classifier(trace, bins[:, index], index) for index in range(bins.shape[1])]
    rises = [rise(table.right[table.samples > 0], table.samples[table.samples > 0]) for table in tables]
    trends = [cochran_armitage(table.right, table.samples, MIDDLES) for table in tables]
    corrected = np.split(holm(np.concatenate(rises)), np.cumsum([len(p) for p in rises])[:-1])
    trend_p = holm([trend.p for trend in trends])
    for table, trend, p, rise_p in zip(tables, trends, trend_p, corrected, strict=True):
        table.loc[np.flatnonzero(table.samples > 0)[1:], "rise_p"] = rise_p
        table.loc[BINS, ["trend_z", "trend_p"]] = trend.z, p
        table.loc[BINS, "verdict"] = verdict(Trend(trend.z, p), rise_p)
    return pd.concat(tables, ignore_index=True).drop(columns="right")


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


def _classifier(trace: Trace, bins: np.ndarray, index: int) -> pd.DataFrame:
    """Ten rows of bins and the row `all` of the classifier at `index`; `right` counts correct samples."""
    correct, uncertainty = trace.correct[:, index], trace.uncertainties[:, index]
    right = np.bincount(bins, correct, minlength=BINS).astype(int)
    samples = np.bincount(bins, minlength=BINS)
    right, samples = np.append(right, right.sum()), np.append(samples, samples.sum())
    low, high = wilson(right, samples)
    table = pd.DataFrame(
        {
            "task": trace.metadata["task"],
            "seed": trace.metadata["seed"],
            "layer": trace.metadata["layers"][index],
            "classifier": "teacher" if index == trace.correct.shape[1] - 1 else "student",
            "bin": [*NAMES, "all"],
            "samples": samples,
            "right": right,
            "percent": 100 * samples / len(correct),
            "accuracy": 100 * right / np.where(samples > 0, samples, np.nan),
            "accuracy_low": 100 * low,
            "accuracy_high": 100 * high,
            "rise_p": np.nan,
            "spearman": np.nan,
            "auroc": np.nan,
            "trend_z": np.nan,
            "trend_p": np.nan,
            "verdict": None,
            "note": np.where(samples < FEW, f"fewer than {FEW} samples", None),
            "run_id": trace.metadata["run_id"],
        }
    )
    table.loc[BINS, ["spearman", "auroc"]] = spearman(uncertainty, correct), auroc(uncertainty, ~correct)
    return table
