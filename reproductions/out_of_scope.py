"""Texts out of a task's scope: how often early exits are sure of a wrong answer, beside all layers.

A task names the class of such texts, `out_of_scope`. Entropy's thresholds are those of task_metrics.csv, chosen on dev.
At `layer=6` every text leaves there: what a threshold does beyond that comes of its choosing the sure ones.
"""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.exit_metrics import failure_auroc
from fastbert_core.exit_rules import at_exit
from fastbert_core.metrics import Outcome, at_layer, at_speed, dense
from fastbert_core.tasks import TASKS
from fastbert_core.trace import Trace
from reproductions.columns import TABLES
from reproductions.compare import seeds_and_runs, trained
from reproductions.statistics import accuracy_interval, paired_interval
from reproductions.task_metrics import FULL, thresholds

SURE = 0.9  # the probability from which an answer is sure


def out_of_scope(traces: Sequence[Trace]) -> pd.DataFrame:
    """`out_of_scope.csv`: a row for each task, training, operating point and scope, the mean over seeds."""
    mine = [t for t in traces if t.has_exits and (of := TASKS.get(t.metadata["task"])) and of.out_of_scope]
    rows = [row for _, _, tests, devs in trained(mine) if all(devs) for row in _rows(tests, devs)]
    return pd.DataFrame(rows, columns=list(TABLES["out_of_scope"]))


def _rows(tests: Sequence[Trace], devs: Sequence[Trace]) -> list[dict]:
    """The rows of one task and training."""
    task, first = TASKS[tests[0].metadata["task"]], tests[0]
    outside = first.labels == first.metadata["classes"].index(task.out_of_scope)
    points = [_points(test, dev, task.metrics[0]) for test, dev in zip(tests, devs, strict=True)]
    rows = []
    for point in (name for name in points[0] if all(name in of_seed for of_seed in points)):
        said = [_Said(test, of_seed[point]) for test, of_seed in zip(tests, points, strict=True)]
        full = [_Said(test, of_seed[FULL]) for test, of_seed in zip(tests, points, strict=True)]
        for scope, which in (("in scope", ~outside), ("out of scope", outside)):
            wrong, of_full = (np.stack([one.sure_wrong[which] for one in side]) for side in (said, full))
            ends, beside = accuracy_interval(wrong), paired_interval(wrong, of_full)
            more = wrong.mean() - of_full.mean()
            row = {"task": task.name, "training": first.metadata["training"], "point": point, "scope": scope}
            row |= {"samples": int(which.sum()), "mean_layers": np.mean([one.layers[which].mean() for one in said])}
            row |= {"accuracy": 100 * np.mean([one.correct[which].mean() for one in said])}
            named = {"sure_wrong": (wrong.mean(), *ends)} | ({"more": (more, *beside)} if point != FULL else {})
            for name, values in named.items():
                row |= dict(zip((name, f"{name}_low", f"{name}_high"), 100 * np.array(values), strict=True))
            row["scope_auroc"] = np.mean(
                [failure_auroc(one.uncertainty[:, None], ~outside[:, None])[0] for one in said]
            )
            rows.append(row | seeds_and_runs(tests))
    return rows


def _points(test: Trace, dev: Trace, metric: str) -> dict[str, Outcome]:
    """What each operating point of one seed comes to."""
    middle = test.shape.layers // 2
    found = {FULL: dense(test), f"layer={middle}": at_layer(test, middle)}
    chosen = thresholds(dev, dev.kind.rule(), metric)
    return found | {name: at_speed(test, speed) for name, speed in chosen.items() if speed is not None}


class _Said:
    """What a seed's exits said at an operating point: arrays [samples]."""

    def __init__(self, test: Trace, outcome: Outcome) -> None:
        self.layers, self.correct = outcome.exit_layer, outcome.correct
        self.uncertainty = at_exit(test.uncertainties, self.layers)
        self.sure_wrong = ~outcome.correct & (at_exit(test.probabilities, self.layers).max(axis=-1) >= SURE)
