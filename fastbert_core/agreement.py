"""Whether adaptive inference did what the trace says it should."""

from typing import NamedTuple

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import ExitRule, exit_layers, get_rule
from fastbert_core.metrics import judged
from fastbert_core.trace import Trace
from fastbert_core.uncertainty import check_speed

# float32 matrix products differ in their last bits with batch and padding. A sample that is nearer than this to the
# threshold at some layer up to its exit, or to a tie of two classes, may leave elsewhere or with the other class.
TOLERANCE = 1e-5


class Disagreements(NamedTuple):
    """Samples whose exit layer or label differ from the trace's, int64 numbers in ascending order.

    broken: those for which nothing excuses it; there must be none
    excused: those within the tolerance of the threshold or a tie; at most 1 in 1000 of all samples
    """

    broken: np.ndarray
    excused: np.ndarray


def disagreements(
    trace: Trace,
    labels: np.ndarray,
    exits: np.ndarray,
    speed: float,
    rule: str | ExitRule = "entropy",
    tolerance: float = TOLERANCE,
) -> Disagreements:
    """Compare an engine's labels, of units, and exit layers, int64 [samples], with what `trace` says at `speed`.

    `speed` is the threshold of `rule`; `tolerance` is wider where the trace comes from a file that is kept to less.
    Raises InputError unless the trace holds every layer, and as many samples.
    """
    layers = trace.metadata["layers"]
    if layers != list(range(1, len(layers) + 1)):
        raise InputError(f"trace: found layers {layers}, expected every one from 1")
    samples, kind = len(trace), trace.kind
    if len(labels) != len(trace.labels) or len(exits) != samples:
        raise InputError(f"predictions: found {len(exits)}, expected the trace's {samples} samples")
    scores, answers = judged(trace, rule)  # [samples, layers]
    expected = exit_layers(scores, check_speed(speed))
    answers = kind.at(answers, expected, trace.words)
    differ = (exits != expected) | ~kind.same(labels[:, None], answers[:, None], trace.words)[:, 0]

    # At the last layer no threshold decides; a tie matters where the sample leaves, and before where a rule looks back.
    layer = np.array(layers)
    near_threshold = (np.abs(scores - speed) <= tolerance) & (layer <= expected[:, None]) & (layer < len(layers))
    asked = layer <= expected[:, None] if get_rule(rule).looks_back else layer == expected[:, None]
    near_tie = kind.near_tie(trace.probabilities, trace.words, tolerance) & asked
    near = (near_threshold | near_tie).any(axis=1)
    return Disagreements(np.flatnonzero(differ & ~near), np.flatnonzero(differ & near))
