"""The LUHA checker (figure 4): is every classifier the more accurate, the lower its uncertainty?"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.exit_metrics import failure_auroc
from fastbert_core.trace import Trace
from reproductions.compare import select, tasks_of
from reproductions.reported import beside
from reproductions.significance import ALPHA
from reproductions.statistics import Trend, cochran_armitage, holm, rise, spearman, wilson

BINS = 10
EDGES = np.arange(1, BINS) / BINS  # bins are [low, high), and the last holds 1 too
MIDDLES = (np.arange(BINS) + 0.5) / BINS
NAMES = [f"{low / BINS:.1f}-{(low + 1) / BINS:.1f}" for low in range(BINS)]
FEW = 30  # samples, below which a bin's note says so
RESAMPLES = 2_000  # of the bootstraps of how accuracy rises from bin to bin
LEVEL = 0.95  # of the upper bound on the largest rise


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
    cell = (np.digitize(trace.uncertainties, EDGES) + BINS * np.arange(len(layers))).ravel()
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

    The isotonic test is of the bins with samples, the largest rise of those with FEW or more.
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


def verdict(trend: Trend, rises: np.ndarray) -> str:
    """`holds`, `fails` or `undecided` for one classifier, from Holm-corrected p-values.

    It holds if accuracy falls significantly with uncertainty and no bin is significantly more accurate than the one
    before it; it fails if the trend is significantly reversed, or such a rise is significant.
    """
    significant = trend.p < ALPHA  # NaN, where there is no trend to see, is not
    if (significant and trend.z > 0) or np.any(rises < ALPHA):
        return "fails"
    return "holds" if significant else "undecided"


def falling(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """The likeliest shares [..., groups] that never rise from group to group (isotonic regression, min-max formula).

    successes, trials: [..., groups], no trials 0.
    """
    zero = np.zeros((*successes.shape[:-1], 1))
    hits, sizes = (np.concatenate([zero, counts.cumsum(axis=-1)], axis=-1) for counts in (successes, trials))
    first, last = np.triu_indices(successes.shape[-1])  # of every run of groups first..last
    means = np.full((*successes.shape[:-1], *2 * successes.shape[-1:]), -np.inf)
    means[..., first, last] = (hits[..., last + 1] - hits[..., first]) / (sizes[..., last + 1] - sizes[..., first])
    # Largest mean of the runs that begin at a and end at i or later; the share at i is its least over a up to i.
    best = np.maximum.accumulate(means[..., ::-1], axis=-1)[..., ::-1]
    return np.where(np.triu(np.ones(best.shape[-2:], bool)), best, np.inf).min(axis=-2)


def isotonic_p(successes: np.ndarray, trials: np.ndarray) -> float:
    """p of the likelihood-ratio test that shares never rise, against any shares, int [groups]; NaN of a single group.

    The statistic's distribution is a bootstrap's from the likeliest shares that never rise. Of true shares that are
    equal these fall by chance, so it rejects too often: 8% at a level of 5%.
    """
    if len(trials) < 2:
        return float("nan")
    fitted = falling(successes, trials)
    drawn = np.random.default_rng(0).binomial(trials, np.clip(fitted, 0, 1), size=(RESAMPLES, len(trials)))
    observed, resampled = (_ratio(counts, trials) for counts in (successes, drawn))
    return float((1 + (resampled >= observed - 1e-9).sum()) / (1 + RESAMPLES))


def _ratio(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Twice the log-likelihood that free shares have over shares that never rise, [...]."""
    fitted, shares = falling(successes, np.broadcast_to(trials, successes.shape)), successes / trials
    with np.errstate(divide="ignore", invalid="ignore"):
        gain = [
            np.where(counts > 0, counts * (np.log(free) - np.log(bound)), 0.0)
            for counts, free, bound in ((successes, shares, fitted), (trials - successes, 1 - shares, 1 - fitted))
        ]
    return 2 * (gain[0] + gain[1]).sum(axis=-1)


def largest_rise(successes: np.ndarray, trials: np.ndarray) -> tuple[float, float]:
    """The largest rise of a share from a group to any later one, and an upper 95% bound on it; NaN of a single group.

    The bound is a bootstrap's from the shares themselves, so it counts noise as rise, and rather says too much.
    """
    if len(trials) < 2:
        return float("nan"), float("nan")
    drawn = np.random.default_rng(0).binomial(trials, successes / trials, size=(RESAMPLES, len(trials)))
    observed, resampled = (_rise(counts / trials) for counts in (successes, drawn))
    return float(observed), float(np.quantile(resampled, LEVEL))


def _rise(shares: np.ndarray) -> np.ndarray:
    """The largest share of a later group minus that of an earlier one, [...]; negative where all fall."""
    later = np.maximum.accumulate(shares[..., ::-1], axis=-1)[..., ::-1][..., 1:]
    return (later - shares[..., :-1]).max(axis=-1)
