"""As fast as asked: the threshold of a speedup, what it comes to on new rows, and how far both lie apart.

A threshold that is used is chosen on the dev rows and judged on the test rows. How good such choices are is measured on
splits of the test rows alone: nothing was chosen on them before, no epoch and no rule that needs fitting, and dev rows
may be of another distribution. Splits of 2,000 rows also say what more calibration rows than dev has would bring.
"""

from collections.abc import Iterator, Sequence
from functools import lru_cache
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastbert_core.metrics import exit_costs, judged
from fastbert_core.operating_points import costs as true_costs
from fastbert_core.out_of_bag import POINTS, first_within, of_dense, relative, speedup_intervals, spread
from fastbert_core.sweep import Sweep, by_sample, lowest, mean_costs
from fastbert_core.trace import Trace
from reproductions.columns import TABLES
from reproductions.compare import trained
from reproductions.guarantees import layer_promises, promises
from reproductions.names import SELF_DISTILLATION
from reproductions.parallel import each
from reproductions.rules import fitted_on, written
from reproductions.streams import THEN, drifting

BESIDE = ("max-prob", "gate")  # rules beside the task type's own
UNITS = ("FLOPs", "MACs")
TARGETS = (1.5, 2, 3, 4, 6, 8, 10)  # speedups
DRAWN = 2000  # rows that calibrate where dev has fewer, drawn out of the test rows
LEAST = 500  # rows that judge a split
SPLITS = 50
FINE = 8 * POINTS  # thresholds of which a split chooses


class Rows(NamedTuple):
    """Rows of a trace under a rule: scores and right answers [rows, layers], costs likewise and of the dense model."""

    scores: np.ndarray
    correct: np.ndarray
    cost: np.ndarray
    dense: np.ndarray

    def of(self, rows: np.ndarray) -> "Rows":
        """Some of the rows."""
        return Rows(*(values[rows] for values in self))

    def at(self, threshold: float) -> tuple[float, float]:
        """The speedup and the accuracy, in per cent, at a threshold."""
        sweep = Sweep(self.scores, np.array([threshold]))
        spent, right = (sweep.totals(of)[0] for of in (self.cost, self.correct))
        accuracy = 100 * right / len(self.dense)
        return self.dense.sum() / spent, min(max(accuracy, 0.0), 100.0)  # sums of grades are rounded


def measured(traces: Sequence[Trace]) -> dict[str, pd.DataFrame]:
    """Budgets and guarantees, four tables by name, of FastBERT on every task with a dev trace, a seed at a time."""
    tables = {"budget": [], "guarantees": [], "streams": [], "layer_guarantees": []}
    pairs = {
        task: [(test, dev) for test, dev in zip(tests, devs, strict=True) if dev is not None]
        for task, training, tests, devs in trained([trace for trace in traces if trace.has_exits])
        if training == SELF_DISTILLATION
    }
    work = [
        (test, dev, [other for other, _ in pairs.get(THEN.get(task), [])[:1]])
        for task, mine in pairs.items()
        for test, dev in mine
    ]
    for found in each(_of_seed, work):
        for rows, new in zip(tables.values(), found, strict=True):
            rows += new
    return {name: pd.DataFrame(rows, columns=list(TABLES[name])) for name, rows in tables.items()}


def _of_seed(test: Trace, dev: Trace, others: Sequence[Trace]) -> list[list[dict]]:
    """Rows of the four tables; `others` are what a stream turns to."""
    key = {name: test.metadata[name] for name in ("task", "seed", "run_id")}
    found = speedups(test, dev), promises(test, dev), drifting(test, dev, others), layer_promises(test)
    return [[key | row for row in rows] for rows in found]


def costs(trace: Trace, unit: str) -> tuple[np.ndarray, np.ndarray]:
    """What leaving costs at each layer, int64 [rows, layers], and what the dense model does, int64 [rows]."""
    if unit == "MACs":
        return true_costs(trace)
    by_layer, dense = exit_costs(trace)
    return np.broadcast_to(by_layer, (len(trace), len(by_layer))), np.full(len(trace), dense[-1])


def speedups(test: Trace, dev: Trace) -> Iterator[dict]:
    """Rows of budget.csv: dev rows calibrate, and so do test rows where there are enough."""
    first, known = drawn(len(test), DRAWN)[0], test.kind.rules()
    for name in (test.kind.base, *(name for name in BESIDE if name in known)):
        rule = fitted_on(dev, known[name])
        said = [(trace, *judged(trace, rule)) for trace in (test, dev)]
        for unit in UNITS:
            on_test, on_dev = (
                Rows(scores, trace.quality(answers), *costs(trace, unit)) for trace, scores, answers in said
            )
            sides = {"dev": (on_dev, on_test)}
            if first.sum() <= len(test) - LEAST:
                sides["test"] = on_test.of(first), on_test.of(~first)
            splits = {size: _splits(on_test, size) for size in {len(mine.dense) for mine, _ in sides.values()}}
            for calibration, (mine, new) in sides.items():
                for row in _asked(mine, new, splits[len(mine.dense)]):
                    yield {"rule": name, "unit": unit, "calibration": calibration} | row


def _asked(calibration: Rows, new: Rows, splits: np.ndarray) -> Iterator[dict]:
    """A row for each target that the calibration rows can reach; `splits` say how good choices of so many rows are."""
    size = len(calibration.dense)
    every, mean = mean_costs(calibration.scores, calibration.cost)
    fastest, _ = calibration.at(every[-1])
    targets = [target for target in TARGETS if target <= fastest]  # the first of them
    intervals = speedup_intervals(calibration.scores, calibration.cost, calibration.dense, targets)
    for target, (low, high), (split_error, covered) in zip(targets, intervals, splits.T, strict=False):
        threshold = written(lowest(every, mean, calibration.dense.mean() / target))
        calibrated, _ = calibration.at(threshold)
        speedup, accuracy = new.at(threshold)
        yield {
            "target": target,
            "rows": size,
            "judged": len(new.dense),
            "threshold": threshold,
            "calibrated": calibrated,
            "speedup": speedup,
            "speedup_low": low,
            "speedup_high": high,
            "error": 100 * (speedup / target - 1),
            "accuracy": accuracy,
            "split_error": split_error,
            "covered": covered,
        }


@lru_cache(maxsize=4)
def drawn(rows: int, size: int) -> np.ndarray:
    """Which of `rows` calibrate in each split, `size` of them, bool [splits, rows]; all others judge."""
    random = np.random.default_rng(0)
    return np.stack([random.permutation(rows) < size for _ in range(SPLITS)])


def _splits(pool: Rows, size: int) -> np.ndarray:
    """How good choices by `size` rows of `pool` are on all others, float64 [2, TARGETS], in per cent.

    The mean distance of what is reached from the target, and the share of splits whose interval covers what is reached;
    NaN where too few rows are left to judge.
    """
    rows = len(pool.dense)
    if rows < size + LEAST:
        return np.full((2, len(TARGETS)), np.nan)
    table = by_sample(pool.scores, pool.cost, spread(pool.scores, pool.cost, FINE))
    coarse = np.ascontiguousarray(table[:, :: -FINE // POINTS][:, ::-1])
    chosen = drawn(rows, size)
    shares = [of_dense(which, table, pool.dense) for which in (chosen, ~chosen)]  # [splits, thresholds]
    at = first_within(shares[0], TARGETS)
    calibrated, reached = (1 / np.take_along_axis(share, at, axis=1) for share in shares)  # [splits, targets]
    tables, whole = (np.stack([values[mine] for mine in chosen]) for values in (coarse, pool.dense))
    low, high = calibrated * relative(tables, whole, TARGETS)
    errors = np.abs(reached / np.array(TARGETS) - 1)
    return 100 * np.stack([errors.mean(axis=0), ((low <= reached) & (reached <= high)).mean(axis=0)])
