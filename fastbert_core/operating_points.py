"""Operating points of a trained model: as fast as asked, or as near to the full model as asked, kept beside it."""

import dataclasses
import json
import math
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastbert_core.errors import InputError, refused
from fastbert_core.exit_rules import at_exit, exit_layers
from fastbert_core.files import read_object, sha256, write_whole
from fastbert_core.flops import dense_true_macs, true_macs
from fastbert_core.out_of_bag import speedup_intervals
from fastbert_core.sweep import every_threshold, totals
from fastbert_core.thresholds import GRID, by_speedup, certified, disagreement, learn_then_test
from fastbert_core.trace import Trace

FILE = "operating_points.json"
SPEEDUPS = (1.5, 2.0, 3.0, 4.0, 6.0, 8.0, 10.0)
TOLERANCES = (0.005, 0.01, 0.02)
CURVE_POINTS = 200
LISTS = ("thresholds", "speedups", "layers", "first", "lost")


@dataclass(frozen=True)
class Point:
    """One operating point, and what it comes to on the calibration rows.

    target: `speedup` or `max_disagreement`; value: what was asked
    threshold: None means never to exit
    speedup: of multiply-accumulates, over the model without exits; interval: of new rows, as `speedup_intervals` has it
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
    thresholds, speedups, layers: of a curve, thresholds ascending, the first of them of a model that never exits; and
        what each comes to, in multiply-accumulates and in mean layers
    unit: what speedups are of: multiply-accumulates, or seconds of the machine that calibrated, layers and exits alone
    first: the rule's score of every row at layer 1, ascending
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
    layers: tuple[float, ...]
    first: tuple[float, ...]
    lost: tuple[int, ...]
    unit: str = "multiply-accumulates"

    @property
    def first_to_try(self) -> tuple[str, float]:
        """What to ask of `threshold` first: 1% of the answers; where too few rows certify that, a speedup there is."""
        most = math.floor(10 * self.speedups[-1]) / 10
        if self.threshold(max_disagreement=0.01) > 0 or most < 1:
            return "max_disagreement", 0.01
        return "speedup", min(2.0, most)

    def threshold(self, speedup: float | None = None, max_disagreement: float | None = None) -> float:
        """The threshold of a target, one of the two; 0, which never exits, where nothing is certified.

        Raises InputError for a speedup below 1 or above what the first layer gives, and a share outside (0, 1).
        """
        target, asked = ("max_disagreement", max_disagreement) if speedup is None else ("speedup", speedup)
        try:
            value = float(asked)
        except (TypeError, ValueError):
            raise InputError(f"{target}: found {asked!r}, expected a number") from None
        if target == "speedup" and not 1 <= value <= self.speedups[-1]:
            most = math.floor(100 * self.speedups[-1]) / 100
            expected = f"a number from 1 to {most:g}, at which all leave"
            if most < 1:
                expected = f"a speed or a max_disagreement: exits cost more than they save here, {most:g}x if all leave"
            raise InputError(f"speedup: found {value!r}, expected {expected}")
        if target == "max_disagreement" and not 0 < value < 1:
            raise InputError(f"max_disagreement: found {asked!r}, expected a number between 0 and 1")
        for point in self.points:
            if (point.target, point.value) == (target, value):
                return point.threshold or 0.0
        if target == "speedup":
            return next(t for t, s in zip(self.thresholds, self.speedups, strict=True) if s >= value)
        passed = int(certified(np.array(self.lost), self.rows, value))
        return float(GRID[passed - 1]) if passed else 0.0


def calibrated(trace: Trace, priced: tuple[np.ndarray, np.ndarray] | None = None, **of: object) -> OperatingPoints:
    """The operating points of a model from what its exits say of calibration rows, which chose nothing before.

    trace: of the rows, of which some may have no label (-1)
    priced: what leaving costs at each layer, [rows, layers], and the model without exits, [rows]; None counts
        multiply-accumulates
    of: the fields of OperatingPoints that say of what they are: model_sha256, texts_sha256, max_tokens, unit

    Raises InputError for fewer than two rows.
    """
    samples = len(trace)
    if samples < 2:
        raise InputError(f"calibration: found {samples} rows, expected two at least, and hundreds for any promise")
    (cost, of_dense), scores = priced or costs(trace), trace.uncertainties
    dense, layers = of_dense.mean(), scores.shape[1]
    losses = disagreement(trace.predictions, trace.probabilities, trace.kind, trace.words)
    known = trace.kind.known_units(trace.labels, trace.words)

    def accuracy(left: np.ndarray) -> float | None:
        answers = trace.kind.at(trace.predictions, left, trace.words)
        right = trace.quality(answers[:, None])[:, 0]
        return 100 * float(right[known].mean()) if known.any() else None

    every = every_threshold(scores)
    share = totals(scores, cost, every) / (samples * dense)  # of the dense model's cost, falling
    fastest = 1 / share[-1]
    asked = [("speedup", value) for value in SPEEDUPS if value <= fastest]
    asked += [("max_disagreement", value) for value in TOLERANCES]
    chosen = [
        by_speedup(scores, cost, dense, value) if target == "speedup" else learn_then_test(losses, scores, value)
        for target, value in asked
    ]
    lefts = [exit_layers(scores, choice.threshold or 0.0) for choice in chosen]
    speedups = [float(dense / at_exit(cost, left).mean()) for left in lefts]
    intervals = speedup_intervals(scores, cost, of_dense, speedups).tolist()
    points = [
        Point(
            *of_target,
            choice.threshold,
            choice.promise,
            speedup,
            tuple(interval),
            mean_layers=float(left.mean()),
            same=100 * float(1 - at_exit(losses, left).mean()),
            accuracy=accuracy(left),
        )
        for of_target, choice, left, speedup, interval in zip(asked, chosen, lefts, speedups, intervals, strict=True)
    ]
    wanted = (1 + 1e-12) / np.linspace(1.0, fastest, CURVE_POINTS)
    slowest = np.searchsorted(-share, -wanted).clip(max=len(every) - 1)
    curve = np.union1d(0.0, every[slowest])
    return OperatingPoints(
        rule=trace.kind.base,
        rows=samples,
        labelled=int(known.sum()),
        full_accuracy=accuracy(np.full(samples, layers)),
        points=tuple(points),
        thresholds=tuple(curve.tolist()),
        speedups=tuple((samples * dense / totals(scores, cost, curve)).tolist()),
        layers=tuple((totals(scores, np.arange(1, layers + 1), curve) / samples).tolist()),
        first=tuple(np.sort(scores[:, 0]).tolist()),
        lost=tuple(totals(scores, losses, GRID).astype(int).tolist()),
        **of,
    )


def costs(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """Multiply-accumulates of leaving at each layer, int64 [rows, layers], and of the model without exits, [rows]."""
    shape, tokens, classes = trace.shape, trace.tokens, len(trace.metadata["classes"])
    depth = np.arange(1, shape.layers + 1)
    return true_macs(shape, depth, tokens[:, None], classes), dense_true_macs(shape, tokens, classes)


def weights_sha256(folder: Path) -> str:
    """SHA-256 of a model folder's weights. Raises InputError if there are none."""
    files = sorted(Path(folder).glob("*.safetensors"))
    if not files:
        raise InputError(f"{folder}: found no .safetensors file, expected a trained model")
    return sha256(*files)


def check_weights(path: Path, made_for: str, remedy: str) -> None:
    """Raise InputError, with the `remedy`, unless the weights beside `path` have the SHA-256 that it was made for."""
    if made_for != (weights := weights_sha256(path.parent)):
        expected = f"expected those of {made_for[:12]}, which it was made for"
        raise InputError(f"{path}: found it beside weights {weights[:12]}, {expected}; {remedy}")


def save_points(points: OperatingPoints, folder: Path) -> Path:
    """Write the operating points into a model's folder, whole or not at all, and return the file."""
    path = Path(folder) / FILE
    write_whole(path, json.dumps(dataclasses.asdict(points), indent=1) + "\n")
    return path


def load_points(path: Path) -> OperatingPoints:
    """Operating points from their file. Raises InputError if it is damaged, or of other weights than lie beside it."""
    remedy = "`fastbert calibrate MODEL --texts FILE` makes it anew"
    expected = f"operating points; {remedy}"
    table = read_object(path, expected)
    with refused(f"{path}: found ", f", expected {expected}", (TypeError, KeyError, AttributeError)):
        points = [Point(**point | {"interval": tuple(point["interval"])}) for point in table.pop("points")]
        lists = {name: tuple(table.pop(name)) for name in LISTS}
        found = OperatingPoints(**table, **lists, points=tuple(points))
    curve = {len(found.thresholds), len(found.speedups), len(found.layers)}
    if len(found.lost) != len(GRID) or len(curve) != 1 or not found.thresholds:
        raise InputError(f"{path}: found curves of other lengths, expected {expected}")
    numbers = (*found.thresholds, *found.speedups, *found.layers, *found.first, *found.lost)
    for number in (*numbers, found.rows, found.labelled, found.max_tokens, found.full_accuracy or 0):
        if not isinstance(number, int | float):
            raise InputError(f"{path}: found {number!r} for a number, expected {expected}")
    check_weights(path, found.model_sha256, remedy)
    return found
