"""How unsure each layer is (figure 6): uncertainties of the samples that reach it, at four speeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_speed
from fastbert_core.trace import Trace
from reproductions.compare import seeds_and_runs, select, tasks_of

SPEEDS = (0.0, 0.3, 0.5, 0.8)
BINS = 20
EDGES = np.arange(1, BINS) / BINS


def uncertainty_distribution(traces: Sequence[Trace]) -> pd.DataFrame:
    """`uncertainty.csv`: samples by layer and uncertainty bin, all seeds together; a row where there are any."""
    tables = [_by_layer(select(traces, task), speed) for task in tasks_of(traces) for speed in SPEEDS]
    return pd.concat(tables) if tables else pd.DataFrame()


def _by_layer(traces: list[Trace], speed: float) -> pd.DataFrame:
    layers = len(traces[0].metadata["layers"])
    counts = np.zeros((layers, BINS), dtype=int)
    for trace in traces:
        reached = at_speed(trace, speed).exit_layer[:, None] > np.arange(layers)  # [samples, layers]
        cell = np.digitize(trace.uncertainties, EDGES) + BINS * np.arange(layers)
        counts += np.bincount(cell[reached], minlength=layers * BINS).reshape(layers, BINS)
    layer, low = np.nonzero(counts)
    return pd.DataFrame(
        {
            "task": traces[0].metadata["task"],
            "speed": speed,
            "layer": layer + 1,
            "bin_low": low / BINS,
            "bin_high": (low + 1) / BINS,
            "samples": counts[layer, low],
            "percent": 100 * counts[layer, low] / counts.sum(axis=1)[layer],
            "seeds": seeds_and_runs(traces)["seeds"],
        }
    )
