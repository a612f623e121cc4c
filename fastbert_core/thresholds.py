"""Operating points: the threshold of any exit rule that is as fast as asked, or loses no more than is tolerated.

All are chosen on calibration rows, which chose nothing else: neither the model nor its best epoch. Each choice says in
one sentence what it promises of new rows like these.
"""

import math
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy.stats import binom

from fastbert_core.bounds import positive
from fastbert_core.errors import InputError
from fastbert_core.sweep import every_threshold, slowest_within, totals
from fastbert_core.task_types import SINGLE, TaskType

# Of Learn-then-Test, fixed before any data are seen, the safest first: even, and fine near 0, where sure layers score.
GRID = np.unique(np.concatenate([[0.0], np.geomspace(1e-4, 1.0, 200), np.linspace(0.0, 1.0, 201)]))
SHARE = "a number between 0 and 1"
ERROR = 0.1  # δ: how often a promise may be broken, over draws of the calibration rows


class Choice(NamedTuple):
    """A threshold and its promise.

    threshold: None means never to exit: all layers run, and the last one answers as it would alone
    promise: one sentence on new rows
    """

    threshold: float | None
    promise: str


def by_speedup(scores: np.ndarray, cost: np.ndarray, dense: float, target: float) -> Choice:
    """The slowest threshold whose mean cost on calibration rows is at most the dense model's over `target`.

    scores: of a rule, [samples, layers]
    cost: of leaving at each layer, ascending, [layers] or [samples, layers], in any unit: FLOPs, MACs or seconds
    dense: a sample's mean cost in the dense model, in the same unit

    Raises InputError for a target below 1, or above what the rule's fastest threshold gives.
    """
    fastest = len(scores) * dense / totals(scores, cost, every_threshold(scores)[-1:])[0]
    if not 1 <= target <= fastest * (1 + 1e-12):
        raise InputError(
            f"speedup: found {target!r}, expected a number from 1 to {math.floor(1000 * fastest) / 1000:g}"
        )
    promise = f"The mean cost is {target:g} times below the dense model's on the calibration rows; new rows vary."
    return Choice(slowest_within(scores, cost, dense / target), promise)


def disagreement(
    answers: np.ndarray, p: np.ndarray, kind: TaskType = SINGLE, words: np.ndarray | None = None
) -> np.ndarray:
    """The loss that needs no labels, bool [samples, layers]: whether `answers` are not what the last layer says.

    answers: int64 [samples, layers]; p: probabilities [samples, layers, classes]; of other types as `kind` has them
    """
    return ~kind.same(answers, kind.answer(p[:, -1:]), words)


def harm(
    answers: np.ndarray,
    p: np.ndarray,
    labels: np.ndarray,
    kind: TaskType = SINGLE,
    words: np.ndarray | None = None,
    classes: Sequence[str] = (),
) -> np.ndarray:
    """(1[wrong] − 1[the last layer wrong])⁺, bool [samples, layers]: what is lost by leaving, gains not set off.

    Of answers that are graded, whether they are less right than the last layer's.
    """
    of = labels, words, classes
    return kind.quality(answers, *of) < kind.quality(kind.answer(p[:, -1:]), *of)


def learn_then_test(losses: np.ndarray, scores: np.ndarray, tolerated: float, error: float = ERROR) -> Choice:
    """The fastest threshold of GRID that is certified to lose at most `tolerated`, with confidence 1 − `error`.

    losses: bool [samples, layers], of leaving at each layer: `disagreement` or `harm`

    Thresholds are tested in their order, each at level `error`: with k of n rows lost, p = P(Bin(n, tolerated) <= k).
    The first whose p is larger ends it, and the last before it is taken; so nothing is paid for testing many. Returned
    is never the first that failed, which nothing certifies. Source: Angelopoulos et al., Learn then Test, 2021.
    """
    for name, share in (("tolerated", tolerated), ("error", error)):
        positive(name, share, SHARE, below=1)
    passed = certified(totals(scores, losses, GRID), len(scores), tolerated, error)
    sure = f"With confidence {1 - error:g} over the draw of the calibration rows"
    promise = f"{sure}, at most {100 * tolerated:g}% of new rows are lost by leaving early."
    return Choice(float(GRID[passed - 1]) if passed else None, promise)


def certified(lost: np.ndarray, rows: int, tolerated: float, error: float = ERROR) -> np.ndarray:
    """How many thresholds, from the safest on, are certified; `lost` of `rows` at each of them, [..., thresholds]."""
    failed = lost > errors_allowed(rows, tolerated, error)
    return np.where(failed.any(axis=-1), failed.argmax(axis=-1), failed.shape[-1])


def within(lost: np.ndarray, rows: int, tolerated: float) -> np.ndarray:
    """How many thresholds there are up to the fastest that loses no more than is tolerated, as `certified` has it."""
    kept = lost <= tolerated * rows
    return np.where(kept.any(axis=-1), kept.shape[-1] - kept[..., ::-1].argmax(axis=-1), 0)


def rows_needed(tolerated: float) -> int:
    """How many calibration rows certify anything at all: with fewer, even none lost is no evidence."""
    return math.ceil(math.log(ERROR) / math.log1p(-tolerated))


def errors_allowed(rows: int | np.ndarray, tolerated: float, error: float = ERROR) -> np.ndarray:
    """How many of so many rows may be lost at a threshold that is certified; -1 where there are too few rows."""
    most = binom.ppf(error, rows, tolerated)  # the first with a chance of `error` or more
    return np.where(binom.cdf(most, rows, tolerated) <= error, most, most - 1).astype(int)
