"""Verdicts against a margin. That an interval contains the paper's number is none: it rewards a wide interval.

A loss is *not worse* than the paper's if the one-sided 95% upper bound of (ours − the paper's) lies within MARGIN,
*worse* if it is above 0 after Holm's correction over the family, else *inconclusive*. The primary family, named before
any result was seen, are table 2's relative losses of FastBERT at the paper's three speeds. The paper's numbers are of
a sample too: its accuracies are binomial, and of its losses the discordant share is taken to be ours.
"""

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from scipy import stats

from reproductions.significance import ALPHA
from reproductions.statistics import Interval, holm, mover, tango, wilson

LOSS_MARGIN, ACCURACY_MARGIN = 0.5, 1.0  # points
ONE_SIDED = 0.90  # the level of a two-sided interval whose ends are one-sided 95% bounds
VERDICTS = ("not worse", "worse", "inconclusive")


class Excess(NamedTuple):
    """How much worse ours is than the paper's, in points, its one-sided 95% bounds, and p that it is not worse."""

    value: float
    low: float
    high: float
    p: float


def excess_loss(loss: float, bounds: Interval, discordant: float, paper_loss: float, paper_samples: int) -> Excess:
    """Our paired loss, with the bounds of its one-sided 95% interval, over the paper's, all in points.

    discordant: share in [0, 1] of our samples on which teacher and student differ in being right.
    """
    theirs = paper_loss / 100
    # Of the paper's samples as many are discordant as of ours, but at least those that its loss consists of.
    pairs = max(discordant, abs(theirs)) * paper_samples
    lost = (pairs + theirs * paper_samples) / 2
    low, high = tango(lost, pairs - lost, paper_samples, ONE_SIDED)
    return _excess(loss - paper_loss, mover(loss, bounds, paper_loss, Interval(100 * low, 100 * high)))


def excess_error(accuracy: float, bounds: Interval, paper_accuracy: float, paper_samples: int) -> Excess:
    """The paper's accuracy − ours, with its bounds, in points, of independent test sets (of one, they are wide)."""
    low, high = wilson(paper_accuracy / 100 * paper_samples, paper_samples, ONE_SIDED)
    theirs = Interval(100 * float(low), 100 * float(high))
    return _excess(paper_accuracy - accuracy, mover(paper_accuracy, theirs, accuracy, bounds))


def _excess(value: float, bounds: Interval) -> Excess:
    spread = (value - bounds.low) / stats.norm.ppf((1 + ONE_SIDED) / 2)
    p = float(stats.norm.sf(value / spread)) if spread > 0 else float(value <= 0)
    return Excess(value, float(bounds.low), float(bounds.high), p)


def judge(family: Sequence[Excess], margin: float) -> tuple[list[str], np.ndarray]:
    """The verdict on each of a family, and its Holm-corrected p that it is worse."""
    corrected = holm([excess.p for excess in family])
    verdicts = [
        "not worse" if excess.high <= margin else "worse" if p < ALPHA else "inconclusive"
        for excess, p in zip(family, corrected, strict=True)
    ]
    return verdicts, corrected
