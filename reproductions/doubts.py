"""Reasons not to believe a trained model's numbers yet, each of which a row of its tables would hide."""

from collections.abc import Iterator

import numpy as np

from fastbert_core.task_types import SINGLE
from fastbert_core.trace import Trace
from reproductions.calibration import confidence
from reproductions.repeats import MANY, most_repeated
from reproductions.statistics import paired_p

CONFIDENCE_GAP = 10.0  # points between mean confidence and accuracy
ALPHA = 0.001  # of a student that beats its teacher; there are eleven of them


def doubts(trace: Trace, baseline: float | None = None, dev: Trace | None = None) -> Iterator[str]:
    """What speaks against the model of a test trace, a line each.

    baseline: the baseline's accuracy, per cent; dev: the same model's trace of the rows that choose speeds
    """
    right = trace.correct[:, -1]  # [samples]
    accuracy = 100 * right.mean()
    yield from _never_right(trace)
    if trace.kind is SINGLE and abs((sure := confidence(trace)) - accuracy) > CONFIDENCE_GAP:
        yield f"its last exit is right on {accuracy:.1f}% and {sure:.1f}% sure of itself"
    yield from _never_right(dev, " on dev") if dev else ()
    constant = 100 * trace.kind.constant(trace.labels, trace.words, trace.metadata["classes"])
    if trace.kind is not SINGLE and accuracy <= constant:
        yield f"one answer for all is as good, {constant:.1f}, as its last exit, {accuracy:.1f}"
    for at, layer in enumerate(trace.metadata["layers"][:-1]):
        gain = 100 * (trace.correct[:, at].mean() - right.mean())
        if gain > 0 and paired_p(trace.correct[:, at], right) < ALPHA:
            yield f"the exit of layer {layer} beats the last by {gain:.2f} points, more than chance allows"
    if (same := most_repeated(trace).sum()) >= MANY * len(trace):
        of = f"{same} of {len(trace)} rows"
        share = 100 * same / len(trace)
        yield f"{of} are one text to the encoder; {share:.1f} points hang on its answer, which tables count once"
    if baseline is not None and accuracy < baseline:
        yield f"logistic regression on the frozen encoder has {baseline:.2f}%, its last exit {accuracy:.2f}%"


def _never_right(trace: Trace, where: str = "") -> Iterator[str]:
    """The classes of a trace that have a recall of 0, if there are any."""
    names = trace.metadata["classes"]
    there, right = trace.kind.recalled(trace.predictions[:, -1], trace.labels, len(names))
    never = [names[label] for label in np.flatnonzero(there & ~right)]
    if never:
        yield f"its last exit is never right{where} on {len(never)} of {there.sum()} classes: {', '.join(never[:5])}"
