"""Whether a classifier is as sure as it is right, and how sure it would be at another temperature.

Fitting one temperature on held-out data: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

import dataclasses

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from fastbert_core.trace import Trace

WARMEST = 20.0  # of the temperatures that are tried; the coldest is its inverse


def confidence(trace: Trace) -> float:
    """Mean probability, in per cent, of the class that the trace's last layer predicts."""
    return 100 * float(trace.probabilities[:, -1].max(axis=-1).mean(dtype=np.float64))


def fitted_temperature(trace: Trace) -> float:
    """The temperature at which the last layer's probabilities fit the labels best, by their mean log-likelihood."""
    logits, rows = _logits(trace.probabilities[:, -1]), np.arange(len(trace.labels))

    def loss(log_temperature: float) -> float:
        return -log_softmax(logits / np.exp(log_temperature), axis=-1)[rows, trace.labels].mean()

    limit = np.log(WARMEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))


def at_temperature(trace: Trace, temperature: float) -> Trace:
    """The trace as if every classifier's logits were divided by `temperature`: as right as before, differently sure."""
    p = np.exp(log_softmax(_logits(trace.probabilities) / temperature, axis=-1))
    return dataclasses.replace(trace, probabilities=p.astype(np.float32))


def _logits(probabilities: np.ndarray) -> np.ndarray:
    """Logits up to a constant, float64; a probability that underflowed to 0 counts as float32's smallest."""
    return np.log(np.maximum(probabilities, np.finfo(np.float32).tiny).astype(np.float64))
