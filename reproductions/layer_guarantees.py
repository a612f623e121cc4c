"""Promises of all new rows beside promises of those that leave at or before each layer, kept or broken.

Calibration rows are drawn from the test rows, all of which judge, as in `guarantees`.
"""

from collections.abc import Iterator

import numpy as np

from fastbert_core.exit_rules import exit_layers
from fastbert_core.layer_thresholds import by_layer, lost_so_far
from fastbert_core.metrics import judged
from fastbert_core.thresholds import ERROR, disagreement, learn_then_test
from fastbert_core.trace import Trace
from reproductions.guarantees import TOLERATED

ROWS, DRAWS = 2000, 50
METHODS = {
    "one threshold": lambda losses, scores, tolerated: np.full(  # on every layer but the last
        scores.shape[1] - 1, learn_then_test(losses, scores, tolerated).threshold or 0.0
    ),
    "by layer": lambda losses, scores, tolerated: by_layer(losses, scores, tolerated).thresholds,
}


def layer_promises(test: Trace) -> Iterator[dict]:
    """Rows of layer_guarantees.csv, of the task type's own rule and disagreement, for each tolerance and method."""
    scores, answers = judged(test, test.kind.base)
    losses = disagreement(answers, test.probabilities, test.kind, test.words)
    rng = np.random.default_rng(2)
    drawn = rng.integers(len(scores), size=(DRAWS, ROWS))
    for tolerated in TOLERATED:
        for method, choose in METHODS.items():
            thresholds = [choose(losses[rows], scores[rows], tolerated) for rows in drawn]
            found = [_judged(losses, scores, these, tolerated) for these in thresholds]
            layers, lost, broken = np.mean(found, axis=0)
            yield {
                "method": method,
                "epsilon": 100 * tolerated,
                "delta": 100 * ERROR,
                "rows": ROWS,
                "draws": DRAWS,
                "mean_layers": layers,
                "lost": 100 * lost,
                "broken": 100 * broken,
            }


def _judged(losses: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, tolerated: float) -> tuple:
    """Mean layers, the share that is lost, and whether those that leave at or before some layer lose too many."""
    layers = exit_layers(scores, thresholds).mean()
    left, lost = lost_so_far(losses, scores, thresholds)
    return layers, lost[-1] / len(scores), bool((lost > tolerated * left).any())
