"""Intervals and tests that every verdict rests on. Proportions lie in [0, 1]; everything is deterministic.

All intervals cover the uncertainty of the test sample at 95%; none covers that of the training seed.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

CONFIDENCE = 0.95
RESAMPLES = 10_000
Z = float(stats.norm.ppf((1 + CONFIDENCE) / 2))


class Interval(NamedTuple):
    """The two ends of a 95% interval, floats or arrays."""

    low: float | np.ndarray
    high: float | np.ndarray


def wilson(successes: int | np.ndarray, trials: int | np.ndarray) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927); arrays broadcast. NaN where there are no trials."""
    trials = np.where(np.asarray(trials) > 0, trials, np.nan)
    share = successes / trials
    centre = (share + Z**2 / (2 * trials)) / (1 + Z**2 / trials)
    half = Z / (1 + Z**2 / trials) * np.sqrt(share * (1 - share) / trials + Z**2 / (4 * trials**2))
    # At 0 and n the ends are 0 and 1 in exact arithmetic; rounding must not carry them beyond the proportion.
    return Interval(np.minimum(np.maximum(centre - half, 0), share), np.maximum(np.minimum(centre + half, 1), share))


def bootstrap_mean(values: np.ndarray, seed: int = 0) -> Interval:
    """Percentile bootstrap interval of the mean of `values` [samples] over samples.

    Correctness averaged over seeds, and differences of it, take few distinct values; how often each is drawn in a
    resample is multinomial, so drawing those counts is the ordinary bootstrap, without its cost. The interval has no
    width if all values are equal.
    """
    distinct, counts = np.unique(values, return_counts=True)
    samples = len(values)
    drawn = np.random.default_rng(seed).multinomial(samples, counts / samples, size=RESAMPLES)
    tail = (1 - CONFIDENCE) / 2
    return Interval(*(float(end) for end in np.quantile(drawn @ distinct / samples, [tail, 1 - tail])))


def paired_bootstrap(first: np.ndarray, second: np.ndarray, seed: int = 0) -> Interval:
    """Bootstrap interval of mean(first) − mean(second), both [samples], drawn on the same samples."""
    return bootstrap_mean(np.asarray(first, float) - np.asarray(second, float), seed)


def accuracy_interval(correct: np.ndarray) -> Interval:
    """Interval of the accuracy of runs on the same samples, bool [seeds, samples].

    Wilson for one run; for several, the bootstrap over samples of the seed-averaged correctness.
    """
    if len(correct) == 1:
        return Interval(*(float(end) for end in wilson(correct.sum(), correct.shape[1])))
    return bootstrap_mean(correct.mean(axis=0))


def difference_of_proportions(first: float, trials: int, second: float, second_trials: int) -> Interval:
    """Interval of first − second, two proportions of independent samples, binomial on both sides.

    Newcombe's method 10 (1998), from the Wilson intervals of both: it keeps its coverage near 0 and 1, where accuracies
    of 99% lie.
    """
    low, high = wilson(first * trials, trials)
    second_low, second_high = wilson(second * second_trials, second_trials)
    difference = first - second
    below = np.hypot(first - low, second_high - second)
    above = np.hypot(high - first, second - second_low)
    return Interval(float(difference - below), float(difference + above))


def macro_f1(labels: np.ndarray, answers: np.ndarray) -> float:
    """Macro-F1 in per cent of the classes `answers` for `labels`, int64 [samples] each, over those in either."""
    classes = max(labels.max(), answers.max()) + 1
    both = np.bincount(labels[labels == answers], minlength=classes)
    either = np.bincount(labels, minlength=classes) + np.bincount(answers, minlength=classes)
    return 100 * float((2 * both / np.maximum(either, 1))[either > 0].mean())


def mcnemar(first: np.ndarray, second: np.ndarray) -> float:
    """McNemar's exact two-sided p that two classifiers, bool [samples] each, are right equally often."""
    only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
    if only_first + only_second == 0:
        return 1.0
    return float(stats.binomtest(only_first, only_first + only_second).pvalue)


def holm(p_values: Sequence[float]) -> np.ndarray:
    """Holm's step-down correction of a family of p-values, in their order. NaN (no test) stays NaN, uncounted."""
    p = np.asarray(p_values, dtype=float)
    corrected = np.full(p.shape, np.nan)
    order = np.argsort(p, kind="stable")[: np.isfinite(p).sum()]  # NaN sorts last
    factors = np.arange(len(order), 0, -1)
    corrected[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return corrected


class Trend(NamedTuple):
    """z is negative if the share of successes falls along the scores; p is two-sided."""

    z: float
    p: float


def cochran_armitage(successes: np.ndarray, trials: np.ndarray, scores: np.ndarray, seed: int = 0) -> Trend:
    """Cochran-Armitage test for a trend of successes / trials [groups] along `scores` [groups], all integers or floats.

    z is the usual statistic; p comes from its permutation distribution (which group the successes fall into is then
    multivariate hypergeometric). The normal approximation will not do: with 76 errors among 7600 samples, nearly all in
    the first group, it calls an absent trend significant at 0.004 four times too often.
    NaN where no trend can be seen: only successes, only failures, or fewer than two groups with trials.
    """
    successes, trials = np.asarray(successes, dtype=np.int64), np.asarray(trials, dtype=np.int64)
    total, right = int(trials.sum()), int(successes.sum())
    centred = scores - (trials @ scores) / total
    variance = right / total * (1 - right / total) * (trials @ centred**2)
    if variance <= 0 or np.count_nonzero(trials) < 2:  # of one group, rounding may leave a variance above 0
        return Trend(float("nan"), float("nan"))
    observed = successes @ centred
    permuted = np.random.default_rng(seed).multivariate_hypergeometric(trials, right, size=RESAMPLES) @ centred
    tolerance = 1e-9 * total  # equal sums may differ in their last bits
    tails = [(permuted <= observed + tolerance).sum(), (permuted >= observed - tolerance).sum()]
    return Trend(float(observed / np.sqrt(variance)), float(min(1.0, 2 * (1 + min(tails)) / (1 + RESAMPLES))))


def rise(successes: np.ndarray, trials: np.ndarray) -> np.ndarray:
    """Fisher's exact one-sided p that group i + 1 succeeds more often than group i, [groups - 1].

    NaN beside a group without trials.
    """
    successes, trials = np.asarray(successes), np.asarray(trials)
    both, right = trials[:-1] + trials[1:], successes[:-1] + successes[1:]
    p = stats.hypergeom.sf(successes[1:] - 1, both, right, trials[1:])
    return np.where((trials[:-1] > 0) & (trials[1:] > 0), p, np.nan)


def spearman(x: np.ndarray, y: np.ndarray) -> float:
    """Spearman's rank correlation of two arrays [samples]; NaN if one of them is constant."""
    if np.ptp(x) == 0 or np.ptp(np.asarray(y, dtype=float)) == 0:
        return float("nan")
    return float(stats.spearmanr(x, y).statistic)


def auroc(scores: np.ndarray, positive: np.ndarray) -> float:
    """Chance that a positive sample scores higher than another one, ties counting half; NaN without both kinds.

    scores: float [samples]; positive: bool [samples].
    """
    high, low = scores[positive], scores[~positive]
    if not len(high) or not len(low):
        return float("nan")
    return float(stats.mannwhitneyu(high, low, method="asymptotic").statistic / (len(high) * len(low)))
