"""Every threshold of a rule at once: what its samples come to, exactly, without asking for one threshold at a time.

A sample executes layer l + 1 if its smallest score up to l is at or above the threshold. So the outcome changes only at
these values, and each of them that is at or above the threshold adds what leaving one layer later adds.
"""

import numpy as np


class Sweep:
    """Samples with `scores` [samples, layers] at each of the ascending `thresholds`."""

    def __init__(self, scores: np.ndarray, thresholds: np.ndarray) -> None:
        self._shape, self._width = scores.shape, len(thresholds) + 1
        at = np.searchsorted(thresholds, _smallest_so_far(scores), side="right")  # executed at thresholds[:at]
        self._executed = at.ravel()

    def totals(self, values: np.ndarray) -> np.ndarray:
        """Sum over samples of `values` at the layer where each leaves, float64 [thresholds]; of integers it is exact.

        values: [samples, layers], or of a shape that broadcasts to it
        """
        values = np.broadcast_to(values, self._shape)
        gains = np.diff(values.astype(np.float64), axis=1)
        table = np.bincount(self._executed, gains.ravel(), minlength=self._width)
        return values[:, 0].sum(dtype=np.float64) + table[::-1].cumsum()[::-1][1:]


def totals(scores: np.ndarray, values: np.ndarray, thresholds: np.ndarray) -> np.ndarray:
    """The `totals` of one kind of values."""
    return Sweep(scores, thresholds).totals(values)


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


def mean_costs(scores: np.ndarray, cost: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Every threshold, ascending, and a sample's mean cost at each.

    cost: of leaving at each layer, ascending, [layers] or [samples, layers]
    """
    thresholds = every_threshold(scores)
    return thresholds, totals(scores, cost, thresholds) / len(scores)


def slowest_within(scores: np.ndarray, cost: np.ndarray, most: float) -> float | None:
    """The lowest threshold at which the mean cost is at most `most`, or None where no threshold in [0, 1] is.

    cost: as of `mean_costs`
    """
    return lowest(*mean_costs(scores, cost), most)


def lowest(thresholds: np.ndarray, mean: np.ndarray, most: float) -> float | None:
    """Of `mean_costs` the lowest threshold at which the cost is at most `most`, or None where none is."""
    # Sums of floats, of which the same cost may come out a little larger.
    within = np.flatnonzero(mean <= most * (1 + 1e-12))
    return float(thresholds[within[0]]) if len(within) else None


def _smallest_so_far(scores: np.ndarray) -> np.ndarray:
    return np.minimum.accumulate(scores[:, :-1], axis=1)  # [samples, layers - 1]
