"""Uncertainty (paper, equation 7), whose threshold is the speed."""

import numpy as np

from fastbert_core.errors import InputError, RunError

# What a probability of 0 counts as where a temperature or a gate is fitted, or logarithms are averaged. Files of traces
# round to 0 what is less probable than their steps; as float32's least it would outweigh all else.
LEAST = 1e-6


def uncertainty(probabilities: np.ndarray) -> np.ndarray:
    """Normalised entropy of the last axis: 0 for a one-hot distribution, 1 for the uniform one.

    `probabilities` [..., classes], at least two classes; the result [...] is float64 in [0, 1],
    computed in float64 whatever the input's type, so that every part of the suite decides alike.
    Source: equation 7, sum of p log p over log(1/N).
    """
    p = np.asarray(probabilities, dtype=np.float64)
    if p.shape[-1] < 2:
        raise InputError(f"uncertainty needs at least 2 classes, found {p.shape[-1]}")
    # 0 log 0 is 0 in the limit; log(1) keeps the term finite.
    terms = np.where(p > 0, p, 1.0)
    terms = np.multiply(np.log(terms, out=terms), p, out=terms)
    # numpy adds up an axis of two in five times the time, to the same bits.
    entropy = -(terms[..., 0] + terms[..., 1] if p.shape[-1] == 2 else terms.sum(axis=-1))
    # float32 probabilities sum to 1 only within rounding, so the uniform case may overshoot by 1e-7.
    return np.clip(entropy / np.log(p.shape[-1]), 0.0, 1.0)


def check_finite(probabilities: np.ndarray, layer: int) -> None:
    """Raise RunError, naming the layer that said them, unless all `probabilities` [samples, classes] are finite.

    No comparison holds for NaN: a broken model would answer class 0 and leave at whichever layer the rule is asked.
    """
    finite = np.isfinite(probabilities).all(axis=-1)
    if not finite.all():
        raise RunError(f"layer {layer}: the probabilities of {np.sum(~finite)} of {len(finite)} samples are not finite")


def check_speed(speed: float) -> float:
    """Return `speed` as a float; raise InputError unless it lies in [0, 1]."""
    try:
        value = float(speed)
    except (TypeError, ValueError):
        value = float("nan")
    if not 0.0 <= value <= 1.0:
        raise InputError(f"speed: found {speed!r}, expected a number in [0, 1]")
    return value
