"""Test rows that are one text to the encoder: every exit answers them alike, so they speak as one and count as one."""

import dataclasses
from collections.abc import Sequence

import numpy as np

from fastbert_core.trace import Trace
from reproductions.names import SELF_DISTILLATION

MANY = 0.005  # of the test rows: what moves accuracy by half a point
DIGITS = 4  # batches of other texts change the last bits of an answer
SAME = "same_text_rows"  # of a trace's metadata: how many rows its one row of such a text stands for


def most_repeated(trace: Trace) -> np.ndarray:
    """The rows of the text that most rows are of, bool [samples]; none where no text has two.

    A trace has no texts; rows of as many tokens that all exits answer with the same probabilities are of one. Texts
    that differ may be one to the encoder, such as two letters that its vocabulary lacks.
    """
    if trace.words is not None:
        return np.zeros(len(trace), bool)
    answers = np.round(trace.probabilities, DIGITS).reshape(len(trace), -1)
    _, text, rows = np.unique(np.column_stack([trace.tokens, answers]), axis=0, return_inverse=True, return_counts=True)
    return (text == rows.argmax()) & (rows.max() > 1)


def counted_once(traces: Sequence[Trace]) -> list[Trace]:
    """The traces, where the test rows of a text that MANY rows are of are left out but for the first.

    FastBERT's own trace says which rows they are, for all models of the task. No test or interval takes rows for
    independent that can only be right or wrong together.
    """
    left_out: dict[str, np.ndarray] = {}
    for trace in traces:
        if (trace.metadata["training"], trace.metadata["split"]) == (SELF_DISTILLATION, "test"):
            same = most_repeated(trace)
            if same.sum() >= MANY * len(trace):
                left_out.setdefault(trace.metadata["task"], same)
    return [
        _without(trace, left_out[trace.metadata["task"]])
        if trace.metadata["split"] == "test" and trace.metadata["task"] in left_out
        else trace
        for trace in traces
    ]


def _without(trace: Trace, same: np.ndarray) -> Trace:
    kept = ~same
    kept[same.argmax()] = True
    arrays = {name: getattr(trace, name) for name in ("probabilities", "labels", "tokens", "logsumexp")}
    taken = {name: None if array is None else array[kept] for name, array in arrays.items()}
    return dataclasses.replace(trace, **taken, metadata=trace.metadata | {SAME: int(same.sum())})
