"""Training, epoch by epoch (figure 7): accuracy and FLOPs on dev rows, through fine-tuning and self-distillation."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from fastbert_core.metrics import at_speed, dense
from fastbert_core.trace import Trace
from reproductions.compare import Averaged
from reproductions.names import SELF_DISTILLATION

SPEED = 0.5
TUNING = "fine-tuning"


def convergence(traces: Sequence[Trace], reported: pd.DataFrame) -> pd.DataFrame:
    """`convergence.csv`, from the epoch traces of the default FastBERT: a row for each task and epoch, seeds averaged.

    In fine-tuning only the teacher runs, in self-distillation all classifiers at speed 0.5. `reported` holds figure 7
    (task, stage, epoch, accuracy, mflops); it is matched by the epochs of the stage, so that other schedules compare.
    """
    kept = [t for t in traces if t.metadata.get("epoch") is not None and t.metadata["training"] == SELF_DISTILLATION]
    groups: dict[tuple, list[Trace]] = {}
    for trace in sorted(kept, key=lambda trace: trace.metadata["seed"]):
        key = (trace.metadata["task"], trace.metadata["stage"], trace.metadata["epoch"])
        groups.setdefault(key, []).append(trace)
    if not groups:
        return pd.DataFrame()
    table = _with_stage_epoch(pd.DataFrame([_row(*key, group) for key, group in groups.items()]))
    printed = reported.rename(columns={"accuracy": "reported_accuracy", "mflops": "reported_mflops"})
    printed = _with_stage_epoch(printed).drop(columns=["speed", "epoch", "source"])
    return table.merge(printed, on=["task", "stage", "stage_epoch"], how="left")


def _row(task: str, stage: str, epoch: int, traces: list[Trace]) -> dict:
    speed, use = (None, dense) if stage == TUNING else (SPEED, partial(at_speed, speed=SPEED))
    row = Averaged(traces, use).row(dense(traces[0]).flops)
    del row["accuracy_min"], row["accuracy_max"]
    return {"task": task, "epoch": epoch, "stage": stage, "speed": speed, "samples": len(traces[0]), **row}


def _with_stage_epoch(table: pd.DataFrame) -> pd.DataFrame:
    """Adds `stage_epoch`: epochs since the stage began; epoch 0, before training, is fine-tuning's."""
    first = table.groupby(["task", "stage"])["epoch"].transform("min")
    return table.assign(stage_epoch=table["epoch"].where(table["stage"] == TUNING, table["epoch"] - first + 1))
