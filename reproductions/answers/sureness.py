"""The teacher's confidence, by which samples leave."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_speed, dense
from fastbert_core.trace import Trace
from reproductions.answers.answer import Answer, unanswered
from reproductions.calibration import at_temperature, confidence, fitted_temperature
from reproductions.compare import Averaged, select, tasks_of
from reproductions.table2 import PAPER_SPEEDS

CALIBRATED = 5.0  # points that confidence may lie off accuracy
MIDDLE_SPEED = PAPER_SPEEDS[1]


def as_sure_as_right(traces: Sequence[Trace]) -> Answer:
    """The teacher's confidence beside its accuracy, and what a temperature fitted on dev makes of a speed."""
    rows, unsure, sure = [], [], []
    for task in tasks_of(traces):
        fastbert, dev = select(traces, task), select(traces, task, split="dev")
        if [t.metadata["seed"] for t in dev] != [t.metadata["seed"] for t in fastbert]:
            continue
        temperatures = [fitted_temperature(trace) for trace in dev]
        fitted = [at_temperature(trace, t) for trace, t in zip(fastbert, temperatures, strict=True)]
        as_is, rescaled = (Averaged(group, partial(at_speed, speed=MIDDLE_SPEED)) for group in (fastbert, fitted))
        accuracy, sureness = Averaged(fastbert, dense).accuracy, float(np.mean([confidence(t) for t in fastbert]))
        if abs(sureness - accuracy) > CALIBRATED:
            (unsure if sureness < accuracy else sure).append(task)
        rows.append(
            {
                "task": task,
                "accuracy": f"{accuracy:.2f}",
                "confidence": f"{sureness:.2f}",
                "least uncertainty": f"{min(trace.uncertainties[:, -1].min() for trace in fastbert):.2f}",
                "temperature": ", ".join(f"{t:.2f}" for t in temperatures),
                f"speed {MIDDLE_SPEED:g}": _at_layers(as_is),
                "at the temperature": _at_layers(rescaled),
            }
        )
    if not rows:
        return unanswered("a FastBERT test trace and its dev trace")
    calibrated = len(rows) - len(unsure) - len(sure)
    line = f"{calibrated} of {len(rows)} teachers are, within {CALIBRATED:g} points"
    for tasks, how in ((unsure, "less"), (sure, "more")):
        line += f"; {how} sure than right on {', '.join(tasks)}" if tasks else ""
    about = (
        "Where it is less sure than right, samples stay longer than they need to: one speed does not mean the same to "
        "two teachers. *Confidence*: mean probability of the teacher's answer, in per cent; *least uncertainty*: the "
        "teacher's smallest on the test set. *Temperature*: fitted to the teacher on the dev trace, by likelihood; "
        "below 1 it makes all classifiers surer, and no prediction changes. The last two columns are accuracy at mean "
        f"layers, at speed {MIDDLE_SPEED:g}."
    )
    return Answer(f"{line}.", pd.DataFrame(rows), about)


def _at_layers(used: Averaged) -> str:
    return f"{used.accuracy:.2f} at {np.mean([outcome.mean_layers for outcome in used.outcomes]):.2f}"
