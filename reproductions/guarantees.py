"""At most so much is lost: what thresholds that keep within a tolerated loss promise, and what they keep.

How often a promise is broken is measured on test rows alone, which chose nothing before. Calibration rows are drawn
from them with replacement, and all of them judge: they are then the whole distribution that is drawn from, and what
they lose is exactly what was promised. Judged by the few rows that a draw may leave over, kept promises look broken.
"""

from collections.abc import Iterator

import numpy as np

from fastbert_core.metrics import judged
from fastbert_core.out_of_bag import draws
from fastbert_core.sweep import by_sample, totals
from fastbert_core.thresholds import ERROR, GRID, certified, disagreement, harm, within
from fastbert_core.trace import Trace

TOLERATED = (0.005, 0.01, 0.02)
SIZES = (500, 2000)  # calibration rows of a draw
DRAWS = 200
AGREEMENT, EXCESS = "agreement", "excess error"
METHODS = {"naive": within, "learn-then-test": certified}


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
