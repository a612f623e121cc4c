"""A threshold for each layer, such that the promise holds for those that leave at or before every single layer.

The promise of `learn_then_test` is of all rows together: the few that leave at the first layer may lose far more. Here
it is of every layer: among new rows that leave at or before it, at most a tolerated share is lost. Source: Ringel,
Cohen, Freedman, Elad, Romano, Early Time Classification with Accumulated Accuracy Gap Control, 2024.
"""

from functools import cache

import numpy as np

from fastbert_core.bounds import positive
from fastbert_core.exit_rules import at_exit, exit_layers
from fastbert_core.thresholds import GRID, SHARE, errors_allowed


def by_layer(losses: np.ndarray, scores: np.ndarray, tolerated: float) -> np.ndarray:
    """Thresholds that lose at most `tolerated` of those that leave at or before each layer, as sure as 1 − ERROR.

    Returns them for all but the last layer, float64 [layers - 1]; 0 where nothing leaves.

    losses: bool [rows, layers], of leaving at each layer; scores: of a rule, [rows, layers]; rows in random order

    The first half of the rows proposes thresholds, layer by layer; the second half certifies them. Leaving is allowed
    at the last layers alone at first, and at one layer more in each test, which must show for every layer from there
    on that no more is lost than is tolerated. What stands before the first test that fails is certified at ERROR,
    however many tests there were. Raises InputError for shares outside (0, 1).
    """
    positive("tolerated", tolerated, SHARE, below=1)
    half = len(scores) // 2
    proposed = _proposed(losses[:half], scores[:half], tolerated)
    thresholds = np.zeros_like(proposed)
    for first in range(len(proposed) - 1, -1, -1):
        wider = np.where(np.arange(len(proposed)) >= first, proposed, 0.0)
        if proposed[first] and not _certified(losses[half:], scores[half:], wider, first, tolerated):
            break
        thresholds = wider
    return thresholds


def lost_so_far(losses: np.ndarray, scores: np.ndarray, thresholds: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many rows leave at or before each layer but the last, and how many of them are lost, int64 [layers - 1]."""
    layers = scores.shape[1]
    left = exit_layers(scores, thresholds)
    lost = at_exit(losses, left)
    counts = [np.bincount(left[which], minlength=layers + 1)[1:layers] for which in (slice(None), lost)]
    return counts[0].cumsum(), counts[1].cumsum()


def _proposed(losses: np.ndarray, scores: np.ndarray, tolerated: float) -> np.ndarray:
    """The largest threshold of each layer, the first one first, at which these rows speak for it."""
    thresholds, staying, gone, lost = [], np.ones(len(scores), bool), 0, 0
    allowed = _allowed(len(scores), tolerated)
    for layer in range(scores.shape[1] - 1):
        at = np.searchsorted(GRID, scores[staying, layer], side="right")  # leaves at GRID[at:]
        leave = np.bincount(at, minlength=len(GRID) + 1)[: len(GRID)].cumsum()
        lose = np.bincount(at, losses[staying, layer], minlength=len(GRID) + 1)[: len(GRID)].cumsum()
        good = np.flatnonzero((lost + lose <= allowed[gone + leave]) & (leave > 0))
        best = good[-1] if len(good) else 0
        thresholds.append(GRID[best] if len(good) else 0.0)
        if len(good):
            gone, lost = gone + leave[best], lost + lose[best]
            staying &= scores[:, layer] >= GRID[best]
    return np.array(thresholds)


def _certified(losses: np.ndarray, scores: np.ndarray, thresholds: np.ndarray, first: int, tolerated: float) -> bool:
    """Whether each layer from `first` on (from 0) is shown to lose no more than is tolerated."""
    left, lost = (counts[first:] for counts in lost_so_far(losses, scores, thresholds))
    return bool((lost <= _allowed(len(scores), tolerated)[left]).all())


@cache
def _allowed(most: int, tolerated: float) -> np.ndarray:
    """`errors_allowed` of 0 to `most` rows, int64 [most + 1]."""
    return errors_allowed(np.arange(most + 1), tolerated)
