"""FastBERT on several encoders: models of a task that learnt from the same rows, at speeds and at equal FLOPs.

Speedups are of the encoder's own dense model; FLOPs are the same unit for all.
"""

from collections.abc import Iterator, Sequence
from functools import partial

import pandas as pd

from fastbert_core.flops import paper_flops
from fastbert_core.metrics import at_flops
from fastbert_core.task_types import SINGLE
from fastbert_core.trace import Trace
from reproductions.compare import Averaged, compared, paired, seeds_and_runs
from reproductions.names import SELF_DISTILLATION
from reproductions.repeats import counted_once
from reproductions.seeds import SOURCES
from reproductions.speeds import EQUAL_FLOPS
from reproductions.statistics import holm
from reproductions.table2 import models_of


def encoders(traces: Sequence[Trace], runs: pd.DataFrame) -> pd.DataFrame:
    """`encoders.csv`: of each task that has FastBERT on several encoders, trained on equal rows in equal precision.

    A model is held against its own last layer, and at equal FLOPs against all layers of each smaller encoder; McNemar's
    p-values of the latter are Holm-corrected.
    """
    fastbert, rows = runs[runs["training"] == SELF_DISTILLATION], []
    for (task, *_), alike in fastbert.groupby(["task", *(name for name in SOURCES if name != "backbone_sha256")]):
        names = alike["backbone"].unique()
        mine = [trace for trace in traces if trace.metadata["task"] == task and trace.kind is SINGLE]
        if len(names) > 1 and mine:
            mine = counted_once(mine)
            models = {name: _models(task, name, mine) for name in names}
            about = alike.groupby("backbone")[["baseline_accuracy", "train_rows", "precision"]].first()
            rows += [about.loc[row["backbone"]].to_dict() | row for row in _of_task(models)]
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    return table.assign(mcnemar_p_holm=holm(table["mcnemar_p"].where(table["setting"] == EQUAL_FLOPS)))


def _models(task: str, backbone: str, traces: Sequence[Trace]) -> dict[str, Averaged]:
    """Table 2's rows of one encoder, by setting; the first is of all layers."""
    mine = [trace for trace in traces if trace.metadata["backbone"] == backbone]
    return {setting: used for (model, setting), used in models_of(task, mine).items() if model != "DistilBERT"}


def _of_task(models: dict[str, dict[str, Averaged]]) -> Iterator[dict]:
    dense = {name: next(iter(settings.values())) for name, settings in models.items()}
    for name, settings in models.items():
        full, shape = dense[name], dense[name].traces[0].shape
        found = [(setting, name, used, full) for setting, used in settings.items()]
        for other, small in dense.items():
            common = [trace for trace in full.traces if trace.metadata["seed"] in small.seeds]
            if common and paper_flops(shape, 1) <= small.flops < full.flops:
                as_cheap = Averaged(common, partial(at_flops, flops=small.flops))
                found.append((EQUAL_FLOPS, other, as_cheap, small))
        for setting, against, used, beside in found:
            row = {"task": full.traces[0].metadata["task"], "backbone": name, "setting": setting, "against": against}
            row |= {"family": shape.family, "layers": shape.layers, "hidden": shape.hidden} | used.row(full.flops)
            if used is not full and (pair := paired(used, beside)):
                row |= compared(pair.first, pair.second)
            yield row | seeds_and_runs(used.traces, beside.traces, seeds=used.seeds)
