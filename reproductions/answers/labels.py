"""FastBERT against the variant that learns from labels, without self-distillation."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from fastbert_core.flops import paper_flops
from fastbert_core.metrics import at_flops, at_speed, dense, encoder_shape
from fastbert_core.trace import Trace
from reproductions.answers.answer import Answer, counted, interval, lead, unanswered
from reproductions.compare import Averaged, paired, select, tasks_of

EASY = 95.0  # per cent of the teacher, from which a task counts as very easy
DEPTHS = (1.5, 2.0, 3.0, 4.0, 6.0)  # mean executed layers at which variants are compared


def easy_tasks(traces: Sequence[Trace]) -> Answer:
    """Self-distillation against labels at equal FLOPs, tasks with a teacher of at least 95% apart."""
    rows, easy, others = [], [], []
    for task in _with_labels(traces):
        fastbert, labels = select(traces, task), select(traces, task, variant="labels")
        accuracy = Averaged(fastbert, dense).accuracy
        row = {"task": task, "teacher": f"{accuracy:.2f}"}
        for layers in DEPTHS:
            flops = layers * paper_flops(encoder_shape(fastbert[0]), 1)
            difference = paired(*(Averaged(group, partial(at_flops, flops=flops)) for group in (fastbert, labels)))
            (easy if accuracy >= EASY else others).append(difference)
            row[f"{layers:g} layers"] = interval(difference)
        rows.append(row)
    about = "Self-distilled - trained on labels, at equal mean executed layers; each cell is a comparison."
    on_others = f"on the other tasks self-distillation is {counted(others, 'labels')}" if others else ""
    if not easy:
        needs = f"FastBERT with and without self-distillation on a task with a teacher of {EASY:g}%"
        return unanswered(f"{needs}; {on_others}" if others else needs)._replace(table=pd.DataFrame(rows), about=about)
    line = f"{lead(easy)}: with a teacher of {EASY:g}% or more self-distillation is {counted(easy, 'labels')}"
    return Answer(f"{line}; {on_others}." if others else f"{line}.", pd.DataFrame(rows), about)


def bargain(traces: Sequence[Trace]) -> Answer:
    """Yelp.P: the variant without self-distillation at the paper's speeds, against FastBERT at its FLOPs."""
    task = "yelp-polarity"
    if task not in _with_labels(traces):
        return unanswered(f"FastBERT with and without self-distillation on {task}")
    fastbert, rows, differences = select(traces, task), [], []
    for speed in (0.2, 0.7):
        labels = Averaged(select(traces, task, variant="labels"), partial(at_speed, speed=speed))
        same_speed = Averaged(fastbert, partial(at_speed, speed=speed))
        equal = Averaged(fastbert, partial(at_flops, flops=labels.flops))
        differences.append(paired(labels, equal))
        rows.append(
            {
                "speed": speed,
                "without": f"{labels.accuracy:.2f} at {labels.flops / 1e6:.0f}M",
                "FastBERT, same speed": f"{same_speed.accuracy:.2f} at {same_speed.flops / 1e6:.0f}M",
                "FastBERT, equal FLOPs": f"{equal.accuracy:.2f} at {equal.flops / 1e6:.0f}M",
                "without - FastBERT, equal FLOPs": interval(differences[-1]),
            }
        )
    line = f"{lead(differences)}: at equal FLOPs the variant is {counted(differences, 'FastBERT')}."
    return Answer(line, pd.DataFrame(rows), "Accuracy and mean FLOPs on the test set.")


def _with_labels(traces: Sequence[Trace]) -> list[str]:
    """Tasks that have FastBERT and the variant without self-distillation, with a seed in common."""

    def seeds(task: str, variant: str) -> set[int]:
        return {trace.metadata["seed"] for trace in select(traces, task, variant=variant)}

    return [task for task in tasks_of(traces) if seeds(task, "default") & seeds(task, "labels")]
