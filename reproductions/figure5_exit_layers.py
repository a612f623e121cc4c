"""Where samples leave (figure 5): the distribution of exit layers at three speeds."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_speed
from fastbert_core.trace import Trace
from reproductions.compare import seeds_and_runs, select, tasks_of
from reproductions.reported import beside

SPEEDS = (0.3, 0.5, 0.8)


def exit_layers(traces: Sequence[Trace], reported: pd.DataFrame) -> pd.DataFrame:
    """`exit_layers.csv`: the share of test samples that leave at each layer, all seeds together, mean and median.

    `reported` holds figure 5 (task, speed, exit_layer, percent).
    """
    tables = [_distribution(select(traces, task), speed) for task in tasks_of(traces) for speed in SPEEDS]
    printed = reported.rename(columns={"percent": "reported_percent"}).drop(columns="source")
    return beside(tables, printed, ["task", "speed", "exit_layer"])


def _distribution(traces: list[Trace], speed: float) -> pd.DataFrame:
    layers = len(traces[0].metadata["layers"])
    exits = np.concatenate([at_speed(trace, speed).exit_layer for trace in traces])
    return pd.DataFrame(
        {
            "task": traces[0].metadata["task"],
            "speed": speed,
            "exit_layer": np.arange(1, layers + 1),
            "percent": 100 * np.bincount(exits, minlength=layers + 1)[1:] / len(exits),
            "mean_layers": exits.mean(),
            "median_layers": np.median(exits),
            "samples": len(traces[0]),
            **seeds_and_runs(traces),
        }
    )
