"""Table 2: BERT, DistilBERT and FastBERT on every task, and how FastBERT compares with the two others."""

import itertools
from collections.abc import Sequence
from functools import partial

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_speed, curve, dense
from fastbert_core.trace import Trace
from reproductions.compare import Averaged, Pair, compared, paired, seeds_and_runs, select, tasks_of
from reproductions.figure3_speed_accuracy import SPEEDS
from reproductions.paper_rows import Paper, judged, paper_row
from reproductions.speeds import CHOSEN, PAPER_SPEEDS, TOLERATED_LOSS
from reproductions.statistics import holm

STUDENTS = ("distilbert-6", "distilbert-3", "distilbert-1")
DISTILBERT_NOTE = "student of the fine-tuned teacher's layers, distilled on soft labels and labels"

Models = dict[tuple[str, str], Averaged]


def models_of(task: str, traces: Sequence[Trace]) -> Models:
    """The rows that a task's traces allow: (model, setting) to what it does on the test set.

    BERT at full depth, DistilBERT, FastBERT at the paper's speeds, and at the speed that `chosen_speed` finds on dev.
    """
    fastbert = select(traces, task)
    models = {("BERT", full_depth(fastbert)): Averaged(fastbert, dense)}
    for student in STUDENTS:
        if distilbert := select(traces, task, student):
            models["DistilBERT", full_depth(distilbert)] = Averaged(distilbert, dense)
    for speed in PAPER_SPEEDS:
        models["FastBERT", f"speed={speed:g}"] = Averaged(fastbert, partial(at_speed, speed=speed))
    if dev := select(traces, task, split="dev"):
        speed = chosen_speed(dev)
        models["FastBERT", f"speed={speed:g} {CHOSEN}"] = Averaged(fastbert, partial(at_speed, speed=speed))
    return models


def chosen_speed(dev: Sequence[Trace]) -> float:
    """The fastest of 101 speeds whose accuracy on dev, averaged over seeds, is within 0.5 points of the teacher's."""
    accuracy = np.mean([curve(trace, SPEEDS)["accuracy"] for trace in dev], axis=0)
    teacher = np.mean([dense(trace).accuracy for trace in dev])
    return float(SPEEDS[np.flatnonzero(accuracy >= teacher - TOLERATED_LOSS - 1e-9)[-1]])


def table2(traces: Sequence[Trace], runs: pd.DataFrame, paper: Paper) -> pd.DataFrame:
    """`table2.csv`: the rows of `models_of` for every task, beside the paper's, with verdicts."""
    rows = []
    for task in tasks_of(traces):
        models = models_of(task, traces)
        teacher = next(iter(models.values()))
        for (model, setting), used in models.items():
            note = DISTILBERT_NOTE if model == "DistilBERT" else ""
            if setting.endswith(CHOSEN):
                dev_rows = len(select(traces, task, split="dev")[0].labels)
                note = f"fastest within {TOLERATED_LOSS} points of BERT on {dev_rows} dev rows"
            rows.append(paper_row(model, setting, used, teacher, runs, paper, note))
    return judged(rows)


def comparisons(traces: Sequence[Trace]) -> pd.DataFrame:
    """`comparisons.csv`: each FastBERT row of table 2 against BERT and every DistilBERT, on the same test samples.

    The interval of the difference covers all common seeds, McNemar's test the first of them; its p-values are
    Holm-corrected over the whole table, in which a speed of the paper's that is also the one chosen on dev counts once.
    """
    rows = []
    for task in tasks_of(traces):
        models = models_of(task, traces)
        own = [(setting, used) for (model, setting), used in models.items() if model == "FastBERT"]
        others = [(*key, other) for key, other in models.items() if key[0] != "FastBERT"]
        for (setting, used), (against, depth, other) in itertools.product(own, others):
            if pair := paired(used, other):
                key = {"task": task, "setting": setting, "against": against, "against_setting": depth}
                rows.append(key | _comparison(pair) | seeds_and_runs(used.traces, other.traces, seeds=pair.seeds))
    if not rows:
        return pd.DataFrame()
    table = pd.DataFrame(rows)
    test = table[["task", "against", "against_setting"]].assign(speed=table["setting"].str.removesuffix(f" {CHOSEN}"))
    corrected = pd.Series(holm(table["mcnemar_p"].where(~test.duplicated())), table.index)
    return table.assign(mcnemar_p_holm=corrected.groupby([test[name] for name in test]).transform("first"))


def _comparison(pair: Pair) -> dict:
    found, (mine, theirs) = compared(pair.first, pair.second), (pair.first[0], pair.second[0])
    errors = (~pair.first).sum(), (~pair.second).sum()
    return found | {
        "errors_added": 100 * (errors[0] - errors[1]) / errors[1] if errors[1] else None,
        "without_loss": "yes" if found["difference_low"] > -TOLERATED_LOSS else "no",
        "mcnemar_seed": pair.seeds[0],
        "only_fastbert_right": (mine & ~theirs).sum(),
        "only_other_right": (theirs & ~mine).sum(),
    }


def full_depth(traces: Sequence[Trace]) -> str:
    """The setting of a model without exits, such as "12 layers"."""
    return f"{traces[0].metadata['layers'][-1]} layers"
