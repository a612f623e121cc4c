"""How fast new rows will be at the threshold that calibration rows chose for a speedup: an interval, by the bootstrap.

Calibration rows are as fast as was asked, since the threshold was fitted to them; new ones are not. So each draw of the
rows, with replacement, chooses a threshold anew, and the rows that it has not drawn say how fast new ones are at it.
These are few, about 37 in 100, so that the interval is wider than many new rows would need.
"""

from collections.abc import Sequence
from functools import lru_cache

import numpy as np

from fastbert_core.sweep import by_sample, every_threshold, totals

LEVEL, RESAMPLES = 0.9, 200
MOST = 2**24  # counts that are multiplied at once: 128 MiB
POINTS = 48  # thresholds of which a draw chooses; its own speedup, which the others' is held against, is at the same


def speedup_intervals(scores: np.ndarray, cost: np.ndarray, dense: np.ndarray, targets: Sequence[float]) -> np.ndarray:
    """The interval of new rows' speedup at the threshold that `by_speedup` chooses for each target, [targets, 2].

    scores: of a rule on the calibration rows, [rows, layers]
    cost: of leaving at each layer, ascending, [layers] or [rows, layers]; dense: in the dense model, [rows]
    targets: speedups, all within reach
    """
    every = every_threshold(scores)
    share = totals(scores, cost, every) / dense.sum()  # of the dense model's cost, falling
    calibrated = 1 / share[first_within(share[None], targets)[0]]
    table = by_sample(scores, cost, spread(scores, cost, POINTS))
    return calibrated[:, None] * relative(table, dense, targets).T


def relative(table: np.ndarray, dense: np.ndarray, targets: Sequence[float]) -> np.ndarray:
    """The two ends of the speedup of rows not drawn over that of those drawn, float64 [2, …, targets].

    table: of `by_sample`, the cost of each row at ascending thresholds, [rows, thresholds], or several such tables,
        [tables, rows, thresholds], as `dense` is [rows] or [tables, rows]
    """
    rows = dense.shape[-1]
    drawn = draws(rows, rows, RESAMPLES)
    drawn = drawn[(drawn == 0).any(axis=1)]  # of a handful of rows some draws leave none to measure
    own, others = (of_dense(counts, table, dense) for counts in (drawn, drawn == 0))
    at = first_within(own, targets)  # [..., resamples, targets]
    ratio = np.take_along_axis(own, at, axis=-1) / np.take_along_axis(others, at, axis=-1)
    return np.quantile(ratio, [(1 - LEVEL) / 2, (1 + LEVEL) / 2], axis=-2)


def of_dense(counts: np.ndarray, table: np.ndarray, dense: np.ndarray) -> np.ndarray:
    """Share of the dense model's cost, [..., draws, thresholds], of rows drawn so often: `counts` [draws, rows].

    Where costs are whole numbers, so are the sums, and no machine adds them up otherwise.
    """
    shares, whole = [], dense[..., None].astype(np.float64)
    for some in np.array_split(counts, 1 + counts.size // MOST):
        some = some.astype(np.float64)  # which BLAS multiplies, and whole numbers it does not
        shares.append((some @ table) / (some @ whole))
    return np.concatenate(shares, axis=-2)


def spread(scores: np.ndarray, cost: np.ndarray, points: int) -> np.ndarray:
    """At most so many of all thresholds, ascending, at which the mean cost falls by about the same factor each."""
    every = every_threshold(scores)
    if len(every) <= points:
        return every
    spent = totals(scores, cost, every)
    return every[np.unique(np.searchsorted(-spent, -np.geomspace(spent[0], spent[-1], points)))]


def first_within(share: np.ndarray, targets: Sequence[float]) -> np.ndarray:
    """The slowest threshold that is as fast as each target, int64 [..., targets], or the fastest that there is.

    share: of the dense model's cost, falling with the thresholds, [..., thresholds]
    """
    slower = share[..., None] > (1 + 1e-12) / np.asarray(targets, dtype=np.float64)
    return slower.sum(axis=-2).clip(max=share.shape[-1] - 1)


@lru_cache(maxsize=4)
def draws(rows: int, size: int, count: int, seed: int = 0) -> np.ndarray:
    """How often each of `rows` is drawn in each of `count` draws of `size` with replacement, uint16 [count, rows]."""
    generator, drawn = np.random.default_rng(seed), np.empty((count, rows), np.uint16)
    for counts in drawn:
        counts[:] = np.bincount(generator.integers(rows, size=size), minlength=rows)
    return drawn
