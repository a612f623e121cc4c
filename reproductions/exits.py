"""Every exit by itself: how right, how sure, how well it knows its errors, and what layers after it undo."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.exit_metrics import calibration_error, failure_auroc, overthinking
from fastbert_core.trace import Trace
from reproductions.compare import seeds_and_runs, trained

FALL = 0.1  # of the right class's probability, below the most that an earlier exit gave it


def exits(traces: Sequence[Trace]) -> pd.DataFrame:
    """`exits.csv`: a row for each layer of each training that has exits; of several seeds the mean."""
    tables = []
    for task, training, tests, _ in trained([trace for trace in traces if trace.has_exits]):
        mean = sum(map(_by_layer, tests)) / len(tests)
        named = {"task": task, "training": training, "layer": tests[0].metadata["layers"]}
        tables.append(mean.assign(**named, **seeds_and_runs(tests)))
    return pd.concat(tables) if tables else pd.DataFrame()


def _by_layer(trace: Trace) -> pd.DataFrame:
    p, correct = trace.probabilities, trace.correct
    right = np.take_along_axis(p, trace.labels[:, None, None], axis=-1)[..., 0]  # [samples, layers]
    fell = np.maximum.accumulate(right, axis=1) - right > FALL
    # What has been right so far, beside the last layer: of the last itself, all that came before it.
    so_far = [
        overthinking(np.column_stack([correct[:, : min(at + 1, p.shape[1] - 1)], correct[:, -1]]))
        for at in range(p.shape[1])
    ]
    columns = {
        "accuracy": 100 * correct.mean(axis=0),
        "confidence": 100 * p.max(axis=-1).mean(axis=0, dtype=np.float64),
        "ece": calibration_error(p, trace.labels),
        "failure_auroc": failure_auroc(trace.uncertainties, correct),
        "wasteful": [one.wasteful for one in so_far],
        "destructive": [one.destructive for one in so_far],
        "fell": 100 * fell.mean(axis=0),
    }
    return pd.DataFrame(columns)
