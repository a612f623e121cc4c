"""Intervals and tests that every verdict rests on. Proportions lie in [0, 1]; everything is deterministic.

Intervals cover the uncertainty of the test sample, at 95% unless told; those of several runs that of the training seed
too, and of a single run none does: it is given this training.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import optimize, stats

CONFIDENCE = 0.95
RESAMPLES = 10_000


class Interval(NamedTuple):
    """The two ends of a 95% interval, floats or arrays."""

    low: float | np.ndarray
    high: float | np.ndarray


def wilson(successes: int | np.ndarray, trials: int | np.ndarray, level: float = CONFIDENCE) -> Interval:
    """Wilson's score interval of a proportion (Wilson 1927); arrays broadcast. NaN where there are no trials."""
    z = float(stats.norm.ppf((1 + level) / 2))
    trials = np.where(np.asarray(trials) > 0, trials, np.nan)
    share = successes / trials
    centre = (share + z**2 / (2 * trials)) / (1 + z**2 / trials)
    half = z / (1 + z**2 / trials) * np.sqrt(share * (1 - share) / trials + z**2 / (4 * trials**2))
    # At 0 and n the ends are 0 and 1 in exact arithmetic; rounding must not carry them beyond the proportion.
    return Interval(np.minimum(np.maximum(centre - half, 0), share), np.maximum(np.minimum(centre + half, 1), share))


def paired_interval(first: np.ndarray, second: np.ndarray, level: float = CONFIDENCE) -> Interval:
    """Interval of mean(first) − mean(second), both bool [seeds, samples], of the same seeds and samples.

    Tango's for one seed; for several, the bootstrap crossed over seeds and samples, but from the difference to either
    side at least as wide as Tango's without a discordant pair: so many samples, however many seeds, say no more. Of
    answers that are graded, in [0, 1], `graded_interval`.
    """
    if first.dtype != bool:
        return graded_interval(first - second, level)
    if len(first) == 1:
        only_first, only_second = int((first & ~second).sum()), int((second & ~first).sum())
        return tango(only_first, only_second, first.shape[1], level)
    values = first.astype(np.int64) - second.astype(np.int64)
    difference, least = float(values.mean()), tango(0, 0, first.shape[1], level).high
    low, high = crossed_bootstrap(values, level)  # of no width where no pair is discordant
    return Interval(max(min(low, difference - least), -1.0), min(max(high, difference + least), 1.0))


def tango(only_first: float, only_second: float, samples: int, level: float = CONFIDENCE) -> Interval:
    """Score interval of the paired difference (only_first − only_second) / samples (Tango 1998).

    It has a width even where no pair is discordant. `samples` pairs, of which in so many only one side succeeds.
    """
    z, n, difference = float(stats.norm.ppf((1 + level) / 2)), samples, (only_first - only_second) / samples

    def score(delta: float) -> float:
        # q: the likeliest share of pairs in which only the second succeeds, if the true difference is delta.
        b = (2 * n - only_first + only_second) * delta - only_first - only_second
        c = -only_second * delta * (1 - delta)
        q = (np.sqrt(max(b * b - 8 * n * c, 0.0)) - b) / (4 * n)
        variance = n * (2 * q + delta * (1 - delta))
        gap = only_first - only_second - n * delta
        if variance > 0:
            return float(gap / np.sqrt(variance))
        return math.copysign(math.inf, gap) if gap else 0.0

    low = -1.0 if score(-1.0) <= z else optimize.brentq(lambda d: score(d) - z, -1.0, difference)
    high = 1.0 if score(1.0) >= -z else optimize.brentq(lambda d: score(d) + z, difference, 1.0)
    return Interval(float(low), float(high))


def crossed_bootstrap(values: np.ndarray, level: float = CONFIDENCE) -> Interval:
    """Percentile bootstrap interval of the mean of `values` [seeds, samples], crossed: seeds and samples are drawn.

    Samples whose values are alike in all seeds are drawn together, so that the number of samples costs nothing.
    """
    seeds, samples = values.shape
    columns = values[:, np.lexsort(values[::-1])]  # `np.unique` of columns takes several times as long
    first = np.flatnonzero(np.append(True, (columns[:, 1:] != columns[:, :-1]).any(axis=0)))
    patterns, counts = columns[:, first], np.diff(first, append=samples)  # [seeds, patterns]
    generator = np.random.default_rng(0)
    of_seeds = generator.multinomial(seeds, np.full(seeds, 1 / seeds), size=RESAMPLES) / seeds  # [resamples, seeds]
    of_samples = generator.multinomial(samples, counts / samples, size=RESAMPLES) / samples  # [resamples, patterns]
    means = ((of_seeds @ patterns) * of_samples).sum(axis=1)
    tail = (1 - level) / 2
    return Interval(*(float(end) for end in np.quantile(means, [tail, 1 - tail])))


def accuracy_interval(correct: np.ndarray, level: float = CONFIDENCE) -> Interval:
    """Interval of the accuracy of runs on the same samples, bool [seeds, samples].

    Wilson for one run, and where all runs are right on all samples or on none; for several, the bootstrap crossed over
    seeds and samples. Of answers that are graded, in [0, 1], `graded_interval`.
    """
    if correct.dtype != bool:
        return Interval(*np.clip(graded_interval(correct, level), 0.0, 1.0).tolist())
    if len(correct) == 1 or np.ptp(correct.astype(np.int8)) == 0:
        return Interval(*(float(end) for end in wilson(correct[0].sum(), correct.shape[1], level)))
    return crossed_bootstrap(correct.astype(np.int64), level)


def graded_interval(values: np.ndarray, level: float = CONFIDENCE) -> Interval:
    """Normal interval of the mean of `values`, float [seeds, samples]: over samples, and over seeds where several."""
    mean, reach = float(values.mean()), float(stats.norm.ppf((1 + level) / 2)) * _error(values)
    return Interval(mean - reach, mean + reach)


def _error(values: np.ndarray) -> float:
    """Standard error of the mean of `values` [seeds, samples], both of which are drawn."""
    variance = 0.0
    for axis in (0, 1):  # means of samples over seeds, then of seeds over samples
        means = values.mean(axis=axis)
        variance += float(means.var(ddof=1)) / len(means) if len(means) > 1 else 0.0
    return math.sqrt(variance)


def paired_p(first: np.ndarray, second: np.ndarray) -> float:
    """Two-sided p that two classifiers are equally right: McNemar's of bool [samples], a paired z-test's of grades."""
    if first.dtype == bool:
        return mcnemar(first, second)
    difference = first - second
    error = _error(difference[None])
    if error == 0:
        return 1.0 if not difference.any() else 0.0
    return float(2 * stats.norm.sf(abs(difference.mean()) / error))


def mover(first: float, of_first: Interval, second: float, of_second: Interval, correlation: float = 0.0) -> Interval:
    """Interval of first − second from the interval of each: Newcombe's method 10 (1998), with Zou's correlation (2008).

    It keeps the coverage of the intervals that it is made of near 0 and 1, where accuracies of 99% lie.
    """

    def reach(one: float, other: float) -> float:
        return float(np.sqrt(max(one**2 + other**2 - 2 * correlation * one * other, 0.0)))

    below = reach(first - of_first.low, of_second.high - second)
    above = reach(of_first.high - first, second - of_second.low)
    return Interval(first - second - below, first - second + above)


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


def cochran_armitage(successes: np.ndarray, trials: np.ndarray, scores: np.ndarray) -> Trend:
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
    permuted = np.random.default_rng(0).multivariate_hypergeometric(trials, right, size=RESAMPLES) @ centred
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
