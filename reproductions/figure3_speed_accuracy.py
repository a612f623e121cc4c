"""The speed-accuracy curves (figure 3): FastBERT, and the ablation's trainings, at 101 speeds."""

from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_speed, dense
from fastbert_core.trace import Trace
from reproductions.compare import Averaged, select, tasks_of
from reproductions.names import SELF_DISTILLATION
from reproductions.reported import beside

SPEEDS = np.arange(101) / 100
MODELS = {
    SELF_DISTILLATION: "FastBERT",
    "labels": "FastBERT without self-distillation",
    "reverse-kl": "FastBERT with reverse KL",
    "authors": "FastBERT as the authors train",
}


def speed_accuracy(traces: Sequence[Trace], reported: pd.DataFrame) -> pd.DataFrame:
    """`speed_accuracy.csv`: a row for each task, training and speed, several seeds averaged.

    `reported` holds figure 3 (task, speed, accuracy, speedup), which is of FastBERT at 20 of the speeds.
    """
    curves = [
        _averaged_curve(mine).assign(task=task, model=model)
        for task in tasks_of(traces)
        for training, model in MODELS.items()
        if (mine := select(traces, task, training))
    ]
    printed = reported.rename(columns={"accuracy": "reported_accuracy", "speedup": "reported_speedup"})
    printed = printed.assign(model="FastBERT", speed=printed["speed"].round(2)).drop(columns="source")
    return beside(curves, printed, ["task", "model", "speed"])


def _averaged_curve(traces: list[Trace]) -> pd.DataFrame:
    teacher = dense(traces[0]).flops
    uses = {speed: Averaged(traces, partial(at_speed, speed=speed)) for speed in SPEEDS}
    return pd.DataFrame([{"speed": speed, **used.row(teacher)} for speed, used in uses.items()])
