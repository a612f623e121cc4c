"""What the tasks that name metrics of their own come to: at full depth, and under every exit rule.

Rules are fitted, and thresholds chosen, on the dev trace, whose rows chose nothing else; all is reported on test.
"""

from collections.abc import Sequence
from functools import cached_property
from itertools import chain

import numpy as np
import pandas as pd

from fastbert_core.exit_rules import exit_layers
from fastbert_core.metrics import dense, judged, leaving
from fastbert_core.sweep import every_threshold, slowest_within
from fastbert_core.task_metrics import METRICS, bootstrap
from fastbert_core.trace import Trace
from reproductions.columns import TABLES
from reproductions.compare import trained
from reproductions.parallel import each
from reproductions.rules import DECIMALS, able, fitted_on

TOLERATED = 0.5  # points of a metric, on dev
FULL, HALF, WITHIN = "all layers", "half of the layers", f"within {TOLERATED:g} points"
CANDIDATES = 50  # thresholds that are looked at for the fastest within a loss
ENDS = (2.5, 97.5)  # of a 95% interval


def task_metrics(traces: Sequence[Trace]) -> pd.DataFrame:
    """`task_metrics.csv`: a row for each task, training, seed, rule, operating point and metric."""
    mine = [trace for trace in traces if trace.metadata.get("metrics") and trace.has_exits]
    pairs = [pair for _, _, tests, devs in trained(mine) for pair in zip(tests, devs, strict=True)]
    return pd.DataFrame(chain.from_iterable(each(_rows, pairs)), columns=list(TABLES["task_metrics"]))


def _rows(test: Trace, dev: Trace | None) -> list[dict]:
    sides = [_Side(test, name, METRICS[name]) for name in test.metadata["metrics"]]
    key = {name: test.metadata[name] for name in ("task", "training", "seed", "run_id")}
    key |= {"task_type": test.kind.name, "samples": len(test)}
    whole = dense(test)
    rows = [key | side.row(FULL, "none", None, whole.exit_layer, whole.speedup) for side in sides]
    if dev is None:
        return rows
    known = test.kind.rules()
    for rule in (name for name in able([test], [dev]) if name in known):
        fitted = fitted_on(dev, known[rule])
        scores, answers = judged(test, fitted)
        for point, threshold in _thresholds(dev, fitted, test.metadata["metrics"][0]).items():
            if threshold is None:
                continue
            left = exit_layers(scores, threshold)
            outcome = leaving(test, left, answers)
            rows += [key | side.row(point, rule, threshold, left, outcome.speedup, outcome.answers) for side in sides]
    return rows


def _thresholds(dev: Trace, rule: object, metric: str) -> dict[str, float | None]:
    """The threshold of each operating point, None where there is none."""
    scores, answers = judged(dev, rule)
    depth = np.arange(1, dev.shape.layers + 1)
    half = slowest_within(scores, depth, len(depth) / 2)
    every = every_threshold(scores)
    tried = every[np.unique(np.linspace(0, len(every) - 1, CANDIDATES).astype(int))]
    of = METRICS[metric]
    found = [of(dev.kind.at(answers, exit_layers(scores, t), dev.words), *_of(dev)) for t in tried]
    full = of(dev.predictions[:, -1], *_of(dev))
    lost = ~(np.array(found) >= full - TOLERATED)  # so too where a metric is undefined
    kept = int(lost.argmax()) if lost.any() else len(tried)  # up to the first that loses more
    chosen = {HALF: half, WITHIN: float(tried[kept - 1]) if kept else None}
    return {name: t if t is None else np.ceil(t * 10**DECIMALS) / 10**DECIMALS for name, t in chosen.items()}


def _of(trace: Trace) -> tuple:
    return trace.labels, trace.words, trace.metadata["classes"]


class _Side:
    """A metric on a test trace, held against the last layer's answers."""

    def __init__(self, test: Trace, name: str, metric: object) -> None:
        self.test, self.name, self.metric = test, name, metric

    @cached_property
    def full(self) -> np.ndarray:
        """Statistics of the last layer's answers."""
        return self.metric.statistics(self.test.predictions[:, -1], *_of(self.test))

    @cached_property
    def full_drawn(self) -> np.ndarray:
        """The metric of the last layer's answers, in samples drawn anew."""
        return bootstrap(self.metric, self.full)

    def row(
        self,
        point: str,
        rule: str,
        threshold: float | None,
        left: np.ndarray,
        speedup: float,
        answers: np.ndarray | None = None,
    ) -> dict:
        """The columns of one operating point."""
        mine = self.full if answers is None else self.metric.statistics(answers, *_of(self.test))
        value, full = (100 * float(self.metric.value(side.sum(axis=0))) for side in (mine, self.full))
        drawn = self.full_drawn if answers is None else bootstrap(self.metric, mine)
        low, high = _ends(drawn)
        row = {"point": point, "rule": rule, "metric": self.name, "value": value, "value_low": low, "value_high": high}
        row |= {"threshold": threshold, "mean_layers": float(left.mean()), "speedup": speedup}
        if answers is not None:
            lost = _ends(self.full_drawn - drawn)
            row |= {"lost": full - value, "lost_low": lost[0], "lost_high": lost[1]}
        return row


def _ends(values: np.ndarray) -> tuple[float, float]:
    """The ends of the interval; NaN where a draw leaves the metric undefined."""
    return tuple(np.percentile(values, ENDS)) if np.isfinite(values).all() else (np.nan, np.nan)
