"""What the tasks that name metrics of their own come to: at full depth, and under every exit rule.

Rules are fitted, and thresholds chosen, on the dev trace, whose rows chose nothing else; all is reported on test.
"""

from collections.abc import Sequence
from itertools import chain
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastbert_core.exit_rules import exit_layers
from fastbert_core.metrics import Outcome, dense, judged, leaving
from fastbert_core.sweep import Sweep, every_threshold, slowest_within
from fastbert_core.task_metrics import METRICS, bootstrap
from fastbert_core.trace import Trace
from reproductions.columns import TABLES
from reproductions.compare import seeds_and_runs, trained
from reproductions.parallel import each
from reproductions.rules import able, fitted_on, written
from reproductions.statistics import accuracy_interval, paired_interval

TOLERATED = 0.5  # points of a metric, on dev
FULL, HALF, WITHIN = "all layers", "half of the layers", f"within {TOLERATED:g} points"
SHARE = "accuracy"  # the metric that is the share of samples that are right, where these are not divided into words
ENDS = (2.5, 97.5)  # of a 95% interval


def task_metrics(traces: Sequence[Trace]) -> pd.DataFrame:
    """`task_metrics.csv`: a row for each task, training, rule, operating point and metric, the mean over seeds."""
    mine = [trace for trace in traces if trace.metadata.get("metrics") and trace.has_exits]
    seeds = [(tests, devs) for _, _, tests, devs in trained(mine)]
    return pd.DataFrame(chain.from_iterable(each(_rows, seeds)), columns=list(TABLES["task_metrics"]))


def _rows(tests: Sequence[Trace], devs: Sequence[Trace | None]) -> list[dict]:
    first = tests[0]
    key = {"task": first.metadata["task"], "training": first.metadata["training"]}
    key |= {"task_type": first.kind.name, "samples": len(first)} | seeds_and_runs(tests)
    found = [_outcomes(test, dev) for test, dev in zip(tests, devs, strict=True)]
    rows = []
    for metric in first.metadata["metrics"]:
        sides = [_Side(test, metric) for test in tests]
        for point, rule in (place for place in found[0] if all(place in of_seed for of_seed in found)):
            thresholds, outcomes = zip(*(of_seed[point, rule] for of_seed in found), strict=True)
            rows.append(key | {"point": point, "rule": rule, "metric": metric} | _row(sides, thresholds, outcomes))
    return rows


def _outcomes(test: Trace, dev: Trace | None) -> dict[tuple[str, str], tuple[float | None, Outcome]]:
    """The threshold, and what it comes to on test, of each operating point and rule."""
    found = {(FULL, "none"): (None, dense(test))}
    if dev is None:
        return found
    known = test.kind.rules()
    for rule in (name for name in able([test], [dev]) if name in known):
        fitted = fitted_on(dev, known[rule])
        scores, answers = judged(test, fitted)
        for point, threshold in thresholds(dev, fitted, test.metadata["metrics"][0]).items():
            if threshold is not None:
                found[point, rule] = threshold, leaving(test, exit_layers(scores, threshold), answers)
    return found


def thresholds(dev: Trace, rule: object, metric: str) -> dict[str, float | None]:
    """The threshold of each operating point, None where there is none."""
    scores, answers = judged(dev, rule)
    depth = np.arange(1, dev.shape.layers + 1)
    half = slowest_within(scores, depth, len(depth) / 2)
    every = np.unique(written(every_threshold(scores)))  # so that no last bits tell two scores apart
    of, sweep = METRICS[metric], Sweep(scores, every)
    by_layer = np.stack([of.statistics(said, *_of(dev)) for said in answers.swapaxes(0, 1)], axis=1)
    sums = np.stack([sweep.totals(each) for each in np.moveaxis(by_layer, -1, 0)], axis=-1)
    full = of(dev.predictions[:, -1], *_of(dev))
    lost = ~(100 * of.value(sums) >= full - TOLERATED)  # so too where a metric is undefined
    kept = int(lost.argmax()) if lost.any() else len(every)  # up to the first that loses more
    return {HALF: half if half is None else written(half), WITHIN: float(every[kept - 1]) if kept else None}


def _of(trace: Trace) -> tuple:
    return trace.labels, trace.words, trace.metadata["classes"]


class _Found(NamedTuple):
    """A metric of answers, in per cent, and what its interval is made of.

    drawn: the metric of samples drawn anew, [draws]; or, where it is the share of samples that are right, who is,
        bool [samples]
    """

    value: float
    drawn: np.ndarray


class _Side:
    """A metric on the test trace of one seed, held against the last layer's answers."""

    def __init__(self, test: Trace, name: str) -> None:
        self.test, self.metric = test, METRICS[name]
        self.is_share = name == SHARE and test.words is None
        self.full = self.of(test.predictions[:, -1])

    def of(self, answers: np.ndarray) -> _Found:
        """The metric of the answers."""
        statistics = self.metric.statistics(answers, *_of(self.test))
        drawn = statistics[:, 0] > 0 if self.is_share else bootstrap(self.metric, statistics)
        return _Found(100 * float(self.metric.value(statistics.sum(axis=0))), drawn)


def _row(sides: Sequence[_Side], thresholds: Sequence[float | None], outcomes: Sequence[Outcome]) -> dict:
    """The columns of one operating point, each the mean over seeds."""
    full = thresholds[0] is None
    found = [side.full if full else side.of(outcome.answers) for side, outcome in zip(sides, outcomes, strict=True)]
    value, drawn = float(np.mean([one.value for one in found])), np.stack([one.drawn for one in found])
    low, high = _ends(drawn) if drawn.dtype != bool else (100 * end for end in accuracy_interval(drawn))
    row = {"value": value, "value_low": low, "value_high": high}
    row["mean_layers"] = float(np.mean([outcome.mean_layers for outcome in outcomes]))
    row["speedup"] = dense(sides[0].test).flops / float(np.mean([outcome.flops for outcome in outcomes]))
    if not full:
        whole = np.stack([side.full.drawn for side in sides])
        pair = whole, drawn
        low, high = _ends(whole - drawn) if drawn.dtype != bool else (100 * end for end in paired_interval(*pair))
        lost = float(np.mean([side.full.value for side in sides])) - value
        row |= {"threshold": float(np.mean(thresholds)), "lost": lost, "lost_low": low, "lost_high": high}
    return row


def _ends(of_seeds: np.ndarray) -> tuple[float, float]:
    """The ends of the interval over seeds and samples, both drawn anew; NaN where a draw leaves the metric undefined.

    of_seeds: of each seed the metric in the same samples, drawn anew, [seeds, draws]
    """
    chosen = np.random.default_rng(1).integers(len(of_seeds), size=of_seeds.shape)
    values = np.take_along_axis(of_seeds, chosen, axis=0).mean(axis=0)
    return tuple(np.percentile(values, ENDS)) if np.isfinite(values).all() else (np.nan, np.nan)
