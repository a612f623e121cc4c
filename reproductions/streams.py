"""Streams whose difficulty drifts: a budget of layers that is held, beside a fixed threshold that is not, and alarms.

Test rows stand for a stream: in an order by lot, as a control; the shortest text first; and one task's after another's,
each with the scores of its own model, as a model may see what it was not calibrated on.
"""

from collections.abc import Iterator, Sequence

import numpy as np

from fastbert_core.budgets import Alarm, Budget, held
from fastbert_core.exit_rules import exit_layers
from fastbert_core.sweep import slowest_within
from fastbert_core.trace import Trace

SHARE = 3  # layers over the budget
BATCH = 32  # samples that leave by one threshold
LONGEST = 10_000  # samples of two tasks together
WINDOW = 1000  # samples in a row whose mean is held against the budget
THEN = {"dbpedia": "yelp-full"}  # the task that follows


def drifting(test: Trace, dev: Trace, others: Sequence[Trace]) -> Iterator[dict]:
    """Rows of streams.csv: each stream under FastBERT's own rule, calibrated on dev; `others` follow on the task,
    where they have as many layers. None where no threshold spends as little as the budget on dev."""
    scores, layers = test.uncertainties, test.uncertainties.shape[1]
    by_lot = np.random.default_rng(0).permutation(len(scores))
    streams = {"shuffled": scores[by_lot], "by length": scores[np.argsort(test.tokens, kind="stable")]}
    for other in others:
        if other.uncertainties.shape[1] == layers:
            second = other.uncertainties[: LONGEST // 2]
            both = np.concatenate([scores[: LONGEST - len(second)], second])
            streams[f"then {other.metadata['task']}"] = both
    budget = layers / SHARE
    fixed = slowest_within(dev.uncertainties, np.arange(1, layers + 1), budget)
    if fixed is None:  # of an encoder of few layers
        return
    on_dev = exit_layers(dev.uncertainties, fixed)
    for name, stream in streams.items():
        controller = Budget.from_scores(dev.uncertainties, budget)
        left, kept = exit_layers(stream, fixed), held(stream, controller, BATCH)
        row = {"stream": name, "samples": len(stream), "budget": budget, "bound": 100 * controller.bound / budget}
        for way, executed in (("fixed", left), ("held", kept)):
            row[f"{way}_layers"] = executed.mean()
            row[f"{way}_error"] = 100 * (executed.mean() / budget - 1)
            row[f"{way}_window"] = _farthest(executed, budget)
        row["alarm_layers"] = _raised(on_dev, left)
        row["alarm_scores"] = _raised(dev.uncertainties[:, 0], stream[:, 0])
        yield row


def _farthest(executed: np.ndarray, budget: float) -> float:
    """The largest distance from the budget of the mean of WINDOW samples in a row, in per cent of it."""
    width = min(WINDOW, len(executed))
    sums = np.append(0, executed.cumsum())
    means = (sums[width:] - sums[:-width]) / width
    return 100 * float(np.abs(means / budget - 1).max())


def _raised(calibration: np.ndarray, stream: np.ndarray) -> int | None:
    """The sample at which an alarm is raised, from 1; None if it never is."""
    alarm = Alarm(calibration)
    alarm.watch(stream)
    return alarm.raised_at
