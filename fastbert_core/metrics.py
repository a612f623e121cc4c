"""What a trace says at any speed or depth: accuracy, executed layers, FLOPs and speedup, without running a model.

Units, here and in every result: accuracy in per cent, FLOPs in the paper's unit as the mean per sample, speedup against
the dense model of the same encoder (all layers and one classifier). Layers count from 1.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

import numpy as np
import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import BOUNDS, ExitRule, exit_layers
from fastbert_core.flops import EncoderShape, dense_flops, paper_flops
from fastbert_core.sweep import Sweep, slowest_within
from fastbert_core.trace import Trace
from fastbert_core.uncertainty import check_speed


@dataclass(frozen=True)
class Outcome:
    """What one way of using a model did to every sample of a trace.

    answers: int64 [samples], the classes that it named; of other task types what these answer
    correct: bool [samples], or of task types that grade an answer float in [0, 1]
    exit_layer: int64 [samples], the number of executed layers
    flops: mean FLOPs of a sample, in the paper's unit
    speedup: FLOPs of the dense model over `flops`
    """

    answers: np.ndarray
    correct: np.ndarray
    exit_layer: np.ndarray
    flops: float
    speedup: float

    @property
    def accuracy(self) -> float:
        """Per cent of samples that are right, or the mean quality of their answers in per cent."""
        return 100 * self.correct.sum().item() / len(self.correct)

    @property
    def mean_layers(self) -> float:
        """Mean number of executed layers."""
        return int(self.exit_layer.sum()) / len(self.exit_layer)


def exit_costs(trace: Trace) -> tuple[np.ndarray, np.ndarray]:
    """What leaving at each layer costs, and the model of so many layers without exits: [layers] each, ascending.

    In the paper's FLOPs, or as the metadata of a foreign trace state it, `cost` by layer, exits always included.
    """
    if stated := trace.metadata.get("cost"):
        return np.cumsum(stated), np.cumsum(stated)
    return _paper_costs(trace.shape)


@cache
def _paper_costs(shape: EncoderShape) -> tuple[np.ndarray, np.ndarray]:
    """`exit_costs` in the paper's FLOPs; whoever asks shares the arrays, so nobody can write to them."""
    depths = np.arange(1, shape.layers + 1)
    costs = paper_flops(shape, depths), dense_flops(shape, depths)
    for array in costs:
        array.setflags(write=False)
    return costs


def describe(trace: Trace) -> str:
    """The trace's key in words, for messages."""
    known = {"task": "a task", "training": "a training", "seed": "unknown"} | trace.metadata
    return "trace of {task}, {training}, seed {seed}, {split}".format(**known)


def at_speed(trace: Trace, speed: float) -> Outcome:
    """Adaptive inference (section 3.4): each sample leaves at the first layer whose uncertainty is below `speed`."""
    return leaving(trace, exit_layers(_every_layer(trace).uncertainties, check_speed(speed)))


def at_threshold(trace: Trace, threshold: float, rule: str | ExitRule) -> Outcome:
    """Early exit under a rule or a bound: each sample leaves at the first layer whose score is below `threshold`."""
    scores, answers = judged(_every_layer(trace), rule)
    return leaving(trace, exit_layers(scores, threshold), answers)


def judged(trace: Trace, rule: str | ExitRule) -> tuple[np.ndarray, np.ndarray]:
    """A rule's scores and answers of all layers, [samples, layers]; `rule` may also be the name of one of BOUNDS.

    Raises InputError for a rule that is unknown or unfitted, has no meaning for the task type, or reads the logits'
    scale where the trace has none.
    """
    p, kind = trace.probabilities, trace.kind
    if isinstance(rule, str) and rule in BOUNDS:
        same = kind.same(trace.predictions, trace.predictions[:, -1:], trace.words)
        return BOUNDS[rule](trace.correct, same), trace.predictions
    rule = kind.rule(rule)
    if rule.unnormalised and trace.logsumexp is None:
        raise InputError(f"{describe(trace)}: found no logsumexp, expected a trace that keeps it")
    if rule.unnormalised:
        # e^z of the logits z; of 24 bits, so that its products with p's 24 and their sum are exact: samples of one
        # scale score the same.
        mantissa, exponent = np.frexp(np.exp(trace.logsumexp.astype(np.float64)))
        p = p * np.ldexp(mantissa.astype(np.float32).astype(np.float64), exponent)[..., None]
    return kind.score(rule, p, trace.words), kind.answers(rule, p)


def at_layer(trace: Trace, layer: int) -> Outcome:
    """Every sample leaves at `layer`; the students on the way are run and counted (table 3, "layer=6")."""
    layers = _every_layer(trace).metadata["layers"][-1]
    if not 1 <= layer <= layers:
        raise InputError(f"layer: found {layer!r}, expected an integer from 1 to {layers}")
    return leaving(trace, np.full(len(trace), layer, dtype=np.int64))


def dense(trace: Trace, layer: int | None = None) -> Outcome:
    """The classifier on `layer` alone (by default the last stored), as a BERT or DistilBERT of that depth would run.

    No other classifier is run or counted; the speedup is against all layers of the trace's own encoder.
    """
    costs, layers = exit_costs(trace)[1], trace.metadata["layers"]
    layer = layers[-1] if layer is None else layer
    if layer not in layers:
        raise InputError(f"{describe(trace)}: found no layer {layer!r}, expected one of {layers}")
    flops = costs[layer - 1].item()
    depth = np.full(len(trace), layer, dtype=np.int64)
    at = layers.index(layer)
    return Outcome(trace.predictions[:, at], trace.correct[:, at], depth, float(flops), costs[-1].item() / flops)


def at_flops(trace: Trace, flops: float) -> Outcome:
    """Adaptive inference at `threshold_for_flops`: a comparison at equal cost, which never exceeds `flops`."""
    return leaving(trace, exit_layers(trace.uncertainties, threshold_for_flops(trace, flops)))


def threshold_for_flops(trace: Trace, flops: float) -> float:
    """The lowest threshold, the slowest speed, at which the mean FLOPs of a sample are at most `flops`.

    Where even a sample of uncertainty 1 must leave, it is the number next above 1, which is no speed. Raises InputError
    for less than one layer's FLOPs.
    """
    scores, by_exit = _every_layer(trace).uncertainties, exit_costs(trace)[0]
    if flops < by_exit[0]:
        raise InputError(
            f"{describe(trace)}: found {flops:.0f} FLOPs a sample, expected one layer's {by_exit[0]:.0f} or more"
        )
    threshold = slowest_within(scores, by_exit, flops)
    return float(np.nextafter(1.0, 2.0)) if threshold is None else threshold


def curve(trace: Trace, speeds: Sequence[float]) -> pd.DataFrame:
    """The whole speed-accuracy curve (figure 3): a row for each of `speeds`, in ascending order.

    Columns: speed, accuracy, mean_layers, mflops, speedup. Samples are sorted into the speeds once, so the work hardly
    grows with the number of speeds.
    """
    speeds = np.sort([check_speed(speed) for speed in speeds])
    scores, samples = _every_layer(trace).uncertainties, len(trace)
    by_exit, of_dense = exit_costs(trace)
    sweep = Sweep(scores, speeds)
    flops = sweep.totals(by_exit) / samples
    columns = {
        "speed": speeds,
        "accuracy": 100 * sweep.totals(trace.correct) / samples,
        "mean_layers": sweep.totals(np.arange(1, len(by_exit) + 1)) / samples,
        "mflops": flops / 1e6,
        "speedup": of_dense[-1] / flops,
    }
    return pd.DataFrame(columns)


def leaving(trace: Trace, exit_layer: np.ndarray, answers: np.ndarray | None = None) -> Outcome:
    """What leaving at `exit_layer` comes to; `answers` [samples, layers] where they are not each layer's own."""
    by_exit, of_dense = exit_costs(trace)
    answers = trace.kind.at(trace.predictions if answers is None else answers, exit_layer, trace.words)
    flops = by_exit[exit_layer - 1].sum().item() / len(exit_layer)
    correct = trace.quality(answers[:, None])[:, 0]
    return Outcome(answers, correct, exit_layer, flops, of_dense[-1].item() / flops)


def _every_layer(trace: Trace) -> Trace:
    """The trace itself; raises InputError if a layer of the encoder is missing from it."""
    found, expected = trace.metadata["layers"], list(range(1, len(exit_costs(trace)[0]) + 1))
    if found != expected:
        raise InputError(f"{describe(trace)}: found layers {found}, expected every one from 1 to {expected[-1]}")
    return trace
