"""Calibration: whether the teacher is as sure as it is right, and what a temperature fitted on dev changes.

Fitting one temperature on held-out data: Guo et al., On Calibration of Modern Neural Networks, ICML 2017.
"""

import dataclasses
from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.exit_metrics import error_of_bins, in_bins
from fastbert_core.exit_rules.temperature import fitted_temperature, tempered
from fastbert_core.metrics import at_speed
from fastbert_core.trace import Trace
from reproductions.compare import trained
from reproductions.names import SELF_DISTILLATION

RESAMPLES = 200
SPEED = 0.5  # at which the tempered classifiers are compared with those as trained


def calibration(traces: Sequence[Trace]) -> pd.DataFrame:
    """`calibration.csv`: each FastBERT as trained (temperature 1), and at the temperature fitted on its dev trace."""
    rows = []
    for _, training, tests, devs in trained(traces):
        for test, dev in zip(tests, devs, strict=True):
            if training == SELF_DISTILLATION and dev is not None:
                fitted = fitted_temperature(dev.probabilities[:, -1], dev.labels)
                rows += [_row(test, 1.0, "no"), _row(at_temperature(test, fitted), fitted, "yes")]
    return pd.DataFrame(rows)


def _row(trace: Trace, temperature: float, fitted: str) -> dict:
    leaving = at_speed(trace, SPEED)
    return {
        "task": trace.metadata["task"],
        "seed": trace.metadata["seed"],
        "fitted": fitted,
        "temperature": temperature,
        "accuracy": 100 * float(trace.correct[:, -1].mean()),
        "confidence": confidence(trace),
        **_error(trace),
        "least_uncertainty": float(trace.uncertainties[:, -1].min()),
        "speed": SPEED,
        "accuracy_at_speed": leaving.accuracy,
        "mean_layers": leaving.mean_layers,
        "run_id": trace.metadata["run_id"],
    }


def _error(trace: Trace) -> dict[str, float]:
    """The last layer's expected calibration error, in per cent, and its 95% interval.

    A sample's noise counts as error, and a resample's twice over: so the interval is the basic bootstrap's, which takes
    off what resampling adds.
    """
    bins, gaps = in_bins(trace.probabilities[:, -1:], trace.labels)
    error = float(error_of_bins(bins, gaps)[0])
    draws = np.random.default_rng(0).integers(len(bins), size=(RESAMPLES, len(bins)))
    again = [float(error_of_bins(bins[rows], gaps[rows])[0]) for rows in draws]
    low, high = 2 * error - np.quantile(again, [0.975, 0.025])
    return {"ece": error, "ece_low": max(low, 0.0), "ece_high": max(high, 0.0)}


def confidence(trace: Trace) -> float:
    """Mean probability, in per cent, of the class that the trace's last layer predicts."""
    return 100 * float(trace.probabilities[:, -1].max(axis=-1).mean(dtype=np.float64))


def at_temperature(trace: Trace, temperature: float) -> Trace:
    """The trace as if every classifier's logits were divided by `temperature`: as right as before, differently sure."""
    p = tempered(trace.probabilities, temperature).astype(np.float32)
    return dataclasses.replace(trace, probabilities=p, logsumexp=None)
