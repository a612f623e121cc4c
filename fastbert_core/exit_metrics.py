"""What is said of a rule over all its thresholds, and of a model's exits one by one.

A rule's curve is accuracy, in per cent, over mean cost: a point for each threshold that does something else, and
straight lines between them, which one reaches by drawing lots between two thresholds. Its fast end is layer 1 alone,
which anyone may choose, whether the rule gets there or not; so curves of all rules span the same costs.
"""

from typing import NamedTuple

import numpy as np
from scipy.stats import rankdata

from fastbert_core.sweep import Sweep, every_threshold

BINS = 15  # of the expected calibration error


class Curve(NamedTuple):
    """Accuracy over cost, the cheapest first: float64 [points] each.

    A threshold is infinite where none up to 1 gets all samples to layer 1.
    """

    cost: np.ndarray
    accuracy: np.ndarray
    thresholds: np.ndarray

    def at(self, cost: float | np.ndarray) -> np.ndarray:
        """Accuracy at a mean cost, on the straight line between the points beside it."""
        return np.interp(cost, self.cost, self.accuracy)

    def within(self, cost: float) -> int:
        """The dearest point of a mean cost of at most `cost`; -1 if there is none."""
        # Sums of floats, of which the same cost may come out a little larger.
        return int(self.cost.searchsorted(cost * (1 + 1e-12), side="right")) - 1

    @property
    def area(self) -> float:
        """Mean accuracy over all costs from the cheapest to the dearest: the exact area under the lines."""
        return float(np.trapezoid(self.accuracy, self.cost) / np.ptp(self.cost))


def curve(scores: np.ndarray, correct: np.ndarray, cost: np.ndarray) -> Curve:
    """The curve of a rule.

    scores: [samples, layers]; correct: bool [samples, layers], of its answers
    cost: of leaving at each layer, ascending, in any unit, [layers] or [samples, layers]
    """
    thresholds = np.append(every_threshold(scores), np.inf)
    sweep = Sweep(scores, thresholds)
    spent, right = (sweep.totals(values) / len(scores) for values in (cost, correct))
    right = right.clip(0, 1)  # sums of grades are rounded
    cheapest_first = np.flatnonzero(np.append(True, np.diff(spent) < 0))[::-1]
    return Curve(spent[cheapest_first], 100 * right[cheapest_first], thresholds[cheapest_first])


def elue(rule: Curve, baseline: tuple[np.ndarray, np.ndarray], costs: np.ndarray) -> float:
    """ELUE's score (Liu et al. 2022), in points: mean over `costs` of a rule's accuracy − the baseline's at equal cost.

    baseline: costs, ascending, and accuracies of models without exits, straight lines between them
    """
    return float(np.mean(rule.at(costs) - np.interp(costs, *baseline)))


def oracle_gap(rule: Curve, scores: np.ndarray, correct: np.ndarray, cost: np.ndarray) -> float:
    """How far a rule lies below an oracle at the oracle's own mean cost, in points of accuracy.

    scores, correct, cost: as of `curve`, of an oracle (exit_rules.BOUNDS), which scores 0 where it would leave, else 1
    """
    sweep = Sweep(scores, np.array([0.5]))
    spent, right = (sweep.totals(values)[0] / len(scores) for values in (cost, correct))
    return float(100 * right - rule.at(spent))


class Overthinking(NamedTuple):
    """What layers after the first right one do (SDN, Kaya et al. 2019), in per cent.

    wasteful: share of the last layer's right answers that an earlier layer had
    destructive: share of the last layer's errors that an earlier layer had right
    """

    wasteful: float
    destructive: float


def overthinking(correct: np.ndarray) -> Overthinking:
    """Of whether each layer is right, bool [samples, layers]. NaN of what there is none of."""
    last, earlier = correct[:, -1], correct[:, :-1].any(axis=1)
    return Overthinking(_percent(earlier[last]), _percent(earlier[~last]))


def _percent(which: np.ndarray) -> float:
    return 100 * float(which.mean()) if len(which) else float("nan")


def failure_auroc(scores: np.ndarray, correct: np.ndarray) -> np.ndarray:
    """Chance that a wrong answer scores higher than a right one, ties counting half, float64 [layers]: of each exit.

    scores, correct: [samples, layers]. NaN of an exit that is never, or always, right.
    """
    wrong = (~correct).sum(axis=0)
    pairs = (wrong * (len(correct) - wrong)).astype(np.float64)
    ranks = (rankdata(scores, axis=0) * ~correct).sum(axis=0)
    return np.divide(ranks - wrong * (wrong + 1) / 2, pairs, out=np.full(pairs.shape, np.nan), where=pairs > 0)


def calibration_error(p: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Expected calibration error in per cent, float64 [layers]: mean distance of confidence to accuracy over bins.

    p: [samples, layers, classes]; BINS of equal width, the upper end included (Guo et al. 2017).
    """
    return error_of_bins(*in_bins(p, labels))


def in_bins(p: np.ndarray, labels: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """The bin of each confidence, int64, and confidence less whether it is right, float64: [samples, layers] each."""
    confidence, correct = p.max(axis=-1).astype(np.float64), p.argmax(axis=-1) == labels[:, None]
    return np.ceil(confidence * BINS).astype(np.int64).clip(1, BINS) - 1, confidence - correct


def error_of_bins(bins: np.ndarray, gaps: np.ndarray) -> np.ndarray:
    """The expected calibration error, float64 [layers], of what `in_bins` returns for some of the samples."""
    samples, layers = bins.shape
    sums = np.bincount((bins + BINS * np.arange(layers)).ravel(), gaps.ravel(), minlength=BINS * layers)
    return 100 * np.abs(sums).reshape(layers, BINS).sum(axis=1) / samples
