"""Every threshold of a rule at once: what its samples come to, exactly, without asking for one threshold at a time.

A sample executes layer l + 1 if its smallest score up to l is at or above the threshold. So the outcome changes only at
these values, and each of them that is at or above the threshold adds what leaving one layer later adds.
"""

import numpy as np


def totals(scores: np.ndarray, values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """Sum over samples of `values` at the layer where each leaves, float64, at each of the ascending `thresholds`.

    scores: [samples, layers]; values: that shape, or one that broadcasts to it. The sums of integers are exact.
    """
    values = np.broadcast_to(values, scores.shape)
    executed = np.searchsorted(thresholds, _smallest_so_far(scores), side="right")  # at thresholds[:executed]
    gains = np.diff(values.astype(np.float64), axis=1)
    table = np.bincount(executed.ravel(), gains.ravel(), minlength=len(thresholds) + 1)
    return values[:, 0].sum(dtype=np.float64) + table[::-1].cumsum()[::-1][1:]


def by_sample(scores: np.ndarray, values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """`values` at the layer where each sample leaves, float64 [samples, thresholds], of which `totals` has the sums.

    For subsets of the samples, of which it gives the sums as products of matrices.
    """
    gains = np.diff(np.broadcast_to(values, scores.shape).astype(np.float64), axis=1)
    samples, width = len(scores), len(thresholds) + 1
    executed = np.searchsorted(thresholds, _smallest_so_far(scores), side="right") + width * np.arange(samples)[:, None]
    table = np.bincount(executed.ravel(), gains.ravel(), minlength=samples * width).reshape(samples, width)
    return np.broadcast_to(values, scores.shape)[:, :1] + table[:, ::-1].cumsum(axis=1)[:, ::-1][:, 1:]


def every_threshold(scores: np.ndarray) -> np.ndarray:
    """All thresholds in [0, 1] that differ in what they do, ascending: of each the lowest that does it.

    The first is 0, at which every layer runs; each other one lies next above a score.
    """
    smallest = _smallest_so_far(scores)
    return np.append(0.0, np.nextafter(np.unique(smallest[smallest < 1]), 2.0))


def slowest_within(scores: np.ndarray, cost: np.ndarray, most: float) -> float | None:
    """The lowest threshold at which a sample's mean cost is at most `most`, or None where no threshold in [0, 1] is.

    cost: of leaving at each layer, ascending, [layers] or [samples, layers]
    """
    thresholds = every_threshold(scores)
    mean = totals(scores, cost, thresholds) / len(scores)
    # Sums of floats, of which the same cost may come out a little larger.
    within = np.flatnonzero(mean <= most * (1 + 1e-12))
    return float(thresholds[within[0]]) if len(within) else None


def _smallest_so_far(scores: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate(scores[:, :-1], axis=1)  # [samples, layers - 1]
