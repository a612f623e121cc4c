"""At most so much is lost: what thresholds that keep within a tolerated loss promise, and what they keep.

Of all new rows, and beside them of those that leave at or before each layer.

How often a promise is broken is measured on test rows alone, which chose nothing before. Calibration rows are drawn
from them with replacement, and all of them judge: they are then the whole distribution that is drawn from, and what
they lose is exactly what was promised. Judged by the few rows that a draw may leave over, kept promises look broken.
"""

from collections.abc import Iterator

import numpy as np

from fastbert_core.exit_rules import exit_layers
from fastbert_core.layer_thresholds import by_layer, lost_so_far
from fastbert_core.metrics import judged
from fastbert_core.out_of_bag import draws
from fastbert_core.sweep import by_sample, totals
from fastbert_core.thresholds import ERROR, GRID, certified, disagreement, harm, within
from fastbert_core.trace import Trace

TOLERATED = (0.005, 0.01, 0.02)
SIZES = (500, 2000)  # calibration rows of a draw
DRAWS = 200
LAYER_ROWS, LAYER_DRAWS = 2000, 50  # where thresholds of each layer are chosen, which takes longer
AGREEMENT, EXCESS = "agreement", "excess error"
METHODS = {"naive": within, "learn-then-test": certified}
LAYER_METHODS = ("one threshold", "by layer")


def promises(test: Trace, dev: Trace) -> Iterator[dict]:
    """Rows of guarantees.csv, of FastBERT's own rule, for each loss, rows that calibrate, tolerance and method."""
    depth = np.arange(1, len(test.metadata["layers"]) + 1)
    for loss in (AGREEMENT, EXCESS):
        (scores, losses), (on_dev, dev_losses) = (_lost(trace, loss) for trace in (test, dev))
        layers = totals(scores, depth, GRID) / len(scores)
        risk = totals(scores, losses, GRID) / len(scores)
        lost = {("dev", len(on_dev)): totals(on_dev, dev_losses, GRID)[None]}
        table = by_sample(scores, losses, GRID)
        lost |= {("test", size): draws(len(scores), size, DRAWS, seed=1) @ table for size in SIZES}
        for (calibration, rows), counts in lost.items():
            for tolerated in TOLERATED:
                for method, choose in METHODS.items():
                    at = np.maximum(choose(counts, rows, tolerated) - 1, 0)  # the first never exits
                    yield {
                        "loss": loss,
                        "method": method,
                        "epsilon": 100 * tolerated,
                        "delta": 100 * ERROR if choose is certified else np.nan,
                        "calibration": calibration,
                        "rows": rows,
                        "draws": len(counts),
                        "threshold": np.median(GRID[at]),
                        "mean_layers": layers[at].mean(),
                        "lost": 100 * risk[at].mean(),
                        "broken": 100 * (risk[at] > tolerated).mean(),
                    }


def _lost(trace: Trace, loss: str) -> tuple[np.ndarray, np.ndarray]:
    """Scores, and what is lost by leaving at each layer: [rows, layers] each."""
    scores, answers = judged(trace, trace.kind.base)
    if loss == AGREEMENT:
        return scores, disagreement(answers, trace.probabilities, trace.kind, trace.words)
    return scores, harm(answers, trace.probabilities, trace.labels, trace.kind, trace.words, trace.metadata["classes"])


def layer_promises(test: Trace) -> Iterator[dict]:
    """Rows of layer_guarantees.csv, of the task type's own rule and disagreement, for each tolerance and method."""
    scores, losses = _lost(test, AGREEMENT)
    drawn = np.random.default_rng(2).integers(len(scores), size=(LAYER_DRAWS, LAYER_ROWS))
    counts = np.stack([np.bincount(rows, minlength=len(scores)) for rows in drawn])
    lost_at = counts @ by_sample(scores, losses, GRID)  # [draws, thresholds]
    samples = [(losses[rows], scores[rows]) for rows in drawn]
    for tolerated in TOLERATED:
        passed = certified(lost_at, LAYER_ROWS, tolerated)
        of_all_layers = GRID[np.maximum(passed - 1, 0)]  # but the last; the first of GRID never exits
        chosen = (
            [np.full(scores.shape[1] - 1, threshold) for threshold in of_all_layers],
            [by_layer(*sample, tolerated) for sample in samples],
        )
        for method, thresholds in zip(LAYER_METHODS, chosen, strict=True):
            found = [_judged(losses, scores, these, tolerated) for these in thresholds]
            layers, lost, broken = np.mean(found, axis=0)
            yield {
                "method": method,
                "epsilon": 100 * tolerated,
                "delta": 100 * ERROR,
                "rows": LAYER_ROWS,
                "draws": LAYER_DRAWS,
                "mean_layers": layers,
                "lost": 100 * lost,
                "broken": 100 * broken,
            }


def _judged(losses: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, tolerated: float) -> tuple:
    """Mean layers, the share that is lost, and whether those that leave at or before some layer lose too many."""
    layers = exit_layers(scores, thresholds).mean()
    left, lost = lost_so_far(losses, scores, thresholds)
    return layers, lost[-1] / len(scores), bool((lost > tolerated * left).any())
