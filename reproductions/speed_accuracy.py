"""The speed-accuracy curves (figure 3): FastBERT, and the ablation's variants, at 101 speeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_speed, curve, dense
from fastbert_core.trace import Trace
from reproductions.averaged import check_same_samples, provenance, select, tasks_of
from reproductions.statistics import accuracy_interval, wilson

SPEEDS = np.arange(101) / 100
MODELS = {
    "default": "FastBERT",
    "labels": "FastBERT without self-distillation",
    "reverse-kl": "FastBERT with reverse KL",
}


def speed_accuracy(traces: Sequence[Trace], reported: pd.DataFrame) -> pd.DataFrame:
    """`speed_accuracy.csv`: a row for each task, variant and speed, several seeds averaged.

    `reported` holds figure 3 (task, speed, accuracy, speedup), which is of FastBERT at 20 of the speeds.
    """
    curves = [
        _averaged_curve(select(traces, task, variant=variant)).assign(task=task, model=model)
        for task in tasks_of(traces)
        for variant, model in MODELS.items()
        if select(traces, task, variant=variant)
    ]
    if not curves:
        return pd.DataFrame()
    printed = reported.rename(columns={"accuracy": "reported_accuracy", "speedup": "reported_speedup"})
    printed = printed.assign(model="FastBERT", speed=printed["speed"].round(2)).drop(columns="source")
    return pd.concat(curves).merge(printed, on=["task", "model", "speed"], how="left")


def _averaged_curve(traces: list[Trace]) -> pd.DataFrame:
    check_same_samples(traces)
    curves = [curve(trace, SPEEDS) for trace in traces]
    accuracies = np.stack([table["accuracy"] for table in curves])  # [seeds, speeds]
    mean = sum(curves) / len(curves)
    if len(traces) == 1:
        samples = len(traces[0].labels)
        low, high = wilson(np.rint(accuracies[0] / 100 * samples), samples)
    else:
        intervals = [accuracy_interval(_correct(traces, speed)) for speed in SPEEDS]
        low, high = np.transpose(intervals)
    return mean.assign(
        speed=SPEEDS,
        speedup=dense(traces[0]).flops / 1e6 / mean["mflops"],
        accuracy_low=100 * low,
        accuracy_high=100 * high,
        accuracy_min=accuracies.min(axis=0),
        accuracy_max=accuracies.max(axis=0),
        **provenance(traces),
    )


def _correct(traces: list[Trace], speed: float) -> np.ndarray:
    """bool [seeds, samples]"""
    return np.stack([at_speed(trace, speed).correct for trace in traces])
