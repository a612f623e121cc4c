"""Operating points of a trained model: as fast as asked, or as near to the full model as asked, kept beside it."""

import dataclasses
import json
import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from scipy.stats import binom

from fastbert_core.errors import InputError, reason
from fastbert_core.exit_rules import exit_layers, get_rule
from fastbert_core.files import atomic_write, sha256
from fastbert_core.flops import EncoderShape, dense_true_macs, true_macs
from fastbert_core.sweep import every_threshold, slowest_within, totals
from fastbert_core.thresholds import ERROR, GRID, Choice, by_speedup, disagreement, learn_then_test

FILE = "operating_points.json"
RULE = "entropy"
SPEEDUPS = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
TOLERANCES = (0.005, 0.01, 0.02)
CURVE_POINTS = 200
DRAWS, SEED = 200, 7  # of the bootstrap


@dataclass(frozen=True)
class Point:
    """One operating point, and what it comes to on the calibration rows.

    target: `speedup` or `max_disagreement`; value: what was asked
    threshold: None means never to exit
    speedup: of multiply-accumulates, over the model without exits; interval: where it lies on as many new rows as a
        third of these, in 90 of 100 draws
    same: per cent of rows that get the full model's answer
    accuracy: per cent of the labelled rows, None where there are none
    """

    target: str
    value: float
    threshold: float | None
    promise: str
    speedup: float
    interval: tuple[float, float]
    mean_layers: float
    same: float
    accuracy: float | None

    @property
    def name(self) -> str:
        """For tables: what was asked."""
        return f"{self.value:g}x faster" if self.target == "speedup" else f"at most {100 * self.value:g}% differ"


@dataclass(frozen=True)
class OperatingPoints:
    """What calibration found, of which any other operating point follows too.

    model_sha256: of the weights that it holds for; texts_sha256: of the calibration texts
    rows, labelled: how many they are, and how many of them have labels; max_tokens: what they were cut to
    full_accuracy: of the last layer alone, per cent of the labelled rows, None where there are none
    thresholds, speedups: of a curve, ascending, the first of them of a model that never exits
    lost: at each of the thresholds of Learn-then-Test's GRID, how many rows get another answer than the full model's
    """

    model_sha256: str
    texts_sha256: str
    rule: str
    rows: int
    labelled: int
    max_tokens: int
    full_accuracy: float | None
    points: tuple[Point, ...]
    thresholds: tuple[float, ...]
    speedups: tuple[float, ...]
    lost: tuple[int, ...]

    def threshold(self, speedup: float | None = None, max_disagreement: float | None = None) -> float:
        """The threshold of a target, one of the two; 0, which never exits, where nothing is certified.

        Raises InputError for a speedup below 1 or above what the first layer gives, and a share outside (0, 1).
        """
        if speedup is not None:
            return self._of_speedup(_number("speedup", speedup))
        tolerated = _number("max_disagreement", max_disagreement)
        if not 0 < tolerated < 1:
            raise InputError(f"max_disagreement: found {max_disagreement!r}, expected a number between 0 and 1")
        for point in self.points:
            if (point.target, point.value) == ("max_disagreement", tolerated):
                return point.threshold or 0.0
        failed = binom.cdf(np.array(self.lost), self.rows, tolerated) > ERROR
        passed = int(failed.argmax()) if failed.any() else len(GRID)
        return float(GRID[passed - 1]) if passed else 0.0

    def _of_speedup(self, speedup: float) -> float:
        fastest = self.speedups[-1]
        if not 1 <= speedup <= fastest:
            most = math.floor(100 * fastest) / 100
            raise InputError(f"speedup: found {speedup!r}, expected a number from 1 to {most:g}, at which all leave")
        for point in self.points:
            if (point.target, point.value) == ("speedup", speedup):
                return point.threshold
        return next(t for t, s in zip(self.thresholds, self.speedups, strict=True) if s >= speedup)


def _number(name: str, value: object) -> float:
    try:
        return float(value)
    except (TypeError, ValueError):
        raise InputError(f"{name}: found {value!r}, expected a number") from None


def calibrated(
    p: np.ndarray,
    labels: np.ndarray,
    tokens: np.ndarray,
    shape: EncoderShape,
    **of: object,
) -> OperatingPoints:
    """The operating points of a model from what its exits say of calibration rows, which chose nothing before.

    p: probabilities float32 [rows, layers, classes]; labels: int64 [rows], -1 where a row has none
    tokens: int32 [rows]; shape: what costs follow from
    of: the fields of OperatingPoints that say of what they are: model_sha256, texts_sha256, max_tokens
    """
    layers = np.arange(1, p.shape[1] + 1)
    cost = np.stack([true_macs(shape, int(layer), tokens, p.shape[2]) for layer in layers], axis=1)  # [rows, layers]
    dense = float(np.mean(dense_true_macs(shape, tokens, p.shape[2])))
    rule = get_rule(RULE)
    scores, answers = rule.score(p), rule.answer(p)
    losses, known = disagreement(answers, p), labels >= 0
    thresholds = every_threshold(scores)
    fastest = len(p) * dense / totals(scores, cost, thresholds[-1:])[0]

    def point(target: str, value: float, choose: Callable[[np.ndarray], Choice]) -> Point:
        choice = choose(np.arange(len(p)))
        left = exit_layers(scores, choice.threshold or 0.0)
        at = (np.arange(len(p)), left - 1)
        accuracy = 100 * float((answers[at] == labels)[known].mean()) if known.any() else None
        interval = _out_of_bag(lambda rows: choose(rows).threshold or 0.0, scores, cost, dense)
        speedup = dense / float(cost[at].mean())
        same = 100 * float(1 - losses[at].mean())
        mean = float(left.mean())
        return Point(target, value, choice.threshold, choice.promise, speedup, interval, mean, same, accuracy)

    def faster(target: float) -> Callable[[np.ndarray], Choice]:
        def choose(rows: np.ndarray) -> Choice:
            if len(rows) == len(p):
                if rows[0] == 0 and rows[-1] == len(p) - 1 and (np.diff(rows) == 1).all():
                    return by_speedup(scores, cost, dense, target)
            return Choice(slowest_within(scores[rows], cost[rows], dense / target) or float(thresholds[-1]), "")

        return choose

    points = [point("speedup", value, faster(value)) for value in SPEEDUPS if value <= fastest]
    for value in TOLERANCES:
        points.append(
            point("max_disagreement", value, lambda rows, value=value: learn_then_test(losses[rows], scores[rows], value))
        )
    curve = _curve(scores, cost, dense, thresholds)
    return OperatingPoints(
        rule=RULE,
        rows=len(p),
        labelled=int(known.sum()),
        full_accuracy=100 * float((answers[:, -1] == labels)[known].mean()) if known.any() else None,
        points=tuple(points),
        thresholds=tuple(curve[0].tolist()),
        speedups=tuple(curve[1].tolist()),
        lost=tuple(totals(scores, losses, GRID).astype(int).tolist()),
        **of,
    )
