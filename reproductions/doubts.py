"""Reasons not to believe a trained model's numbers yet, each of which a row of its tables would hide."""

from collections.abc import Iterator

import numpy as np

from fastbert_core.trace import Trace
from reproductions.statistics import mcnemar

CONFIDENCE_GAP = 10.0  # points between mean confidence and accuracy
ALPHA = 0.001  # of a student that beats its teacher; there are eleven of them


def doubts(trace: Trace, baseline: float | None = None) -> Iterator[str]:
    """What speaks against the model of a test trace, a line each; `baseline` is the baseline's accuracy, per cent."""
    names, right = trace.metadata["classes"], trace.correct[:, -1]  # [samples]
    present = np.unique(trace.labels)
    never = [names[label] for label in present if not right[trace.labels == label].any()]
    if never:
        yield f"its last exit is never right on {len(never)} of {len(present)} classes: {', '.join(never[:5])}"
    accuracy, confidence = 100 * right.mean(), 100 * trace.probabilities[:, -1].max(axis=-1).mean()
    if abs(confidence - accuracy) > CONFIDENCE_GAP:
        yield f"its last exit is right on {accuracy:.1f}% and {confidence:.1f}% sure of itself"
    for at, layer in enumerate(trace.metadata["layers"][:-1]):
        gain = 100 * (trace.correct[:, at].mean() - right.mean())
        if gain > 0 and mcnemar(trace.correct[:, at], right) < ALPHA:
            yield f"the exit of layer {layer} beats the last by {gain:.2f} points, more than chance allows"
    if baseline is not None and accuracy < baseline:
        yield f"logistic regression on the frozen encoder has {baseline:.2f}%, its last exit {accuracy:.2f}%"


def macro_f1(trace: Trace) -> np.ndarray:
    """Macro-F1 of each stored layer in per cent, float64 [layers], over the classes that occur or are predicted."""
    classes = len(trace.metadata["classes"])
    actual = trace.labels[:, None, None] == np.arange(classes)  # [samples, 1, classes]
    predicted = trace.predictions[..., None] == np.arange(classes)  # [samples, layers, classes]
    both, all_of = (actual & predicted).sum(axis=0), actual.sum(axis=0) + predicted.sum(axis=0)
    f1 = np.divide(2 * both, all_of, out=np.full(both.shape, np.nan), where=all_of > 0)
    return 100 * np.nanmean(f1, axis=1)
