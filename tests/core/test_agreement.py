import numpy as np
import pytest

from fastbert_core.agreement import disagreements
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import exit_layers
from fastbert_core.trace import Trace


def make(rows, layers=None):
    """A trace [samples, 3, 2] from each layer's probability of class 0."""
    p = np.array(rows, np.float32)
    p = np.stack([p, 1 - p], axis=-1)
    return Trace(p, np.zeros(len(p), np.int64), np.ones(len(p), np.int32), {"layers": layers or [1, 2, 3]})


SURE, UNSURE = 0.99, 0.6  # uncertainties 0.08 and 0.97
TRACE = make([[SURE, SURE, SURE], [UNSURE, SURE, SURE], [UNSURE, UNSURE, UNSURE], [UNSURE, 0.01, 0.01]])


def expected(trace, speed):
    exits = exit_layers(trace.uncertainties, speed)
    return trace.predictions[np.arange(len(exits)), exits - 1], exits


def test_what_the_trace_says_agrees():
    labels, exits = expected(TRACE, 0.5)
    assert exits.tolist() == [1, 2, 3, 2]
    assert [found.tolist() for found in disagreements(TRACE, labels, exits, 0.5)] == [[], []]


def test_another_label_or_exit_is_broken():
    labels, exits = expected(TRACE, 0.5)
    labels[0], exits[3] = 1, 3
    assert [found.tolist() for found in disagreements(TRACE, labels, exits, 0.5)] == [[0, 3], []]


def test_a_threshold_at_hand_excuses_another_exit():
    labels, exits = expected(TRACE, 0.5)
    exits[1] = 1
    for distance, excused in ((0.9e-5, True), (-0.9e-5, True), (1.1e-5, False), (-1.1e-5, False)):
        speed = TRACE.uncertainties[1, 0] + distance
        wrong = np.array([1, 3 - expected(TRACE, speed)[1][1], 3, 2])
        broken, forgiven = disagreements(TRACE, labels, wrong, speed)
        assert (1 in forgiven) == excused
        assert (1 in broken) == (not excused)


def test_a_threshold_past_the_exit_excuses_nothing():
    # The second layer lies at the threshold, but the sample has left at the first.
    trace = make([[SURE, UNSURE, SURE]])
    speed = trace.uncertainties[0, 1]
    assert disagreements(trace, np.array([0]), np.array([2]), speed).broken.tolist() == [0]


def test_at_the_last_layer_no_threshold_decides():
    trace = make([[UNSURE, UNSURE, 0.9]])
    speed = trace.uncertainties[0, 2]
    assert disagreements(trace, np.array([1]), np.array([3]), speed).broken.tolist() == [0]


def test_a_tie_excuses_another_label():
    labels, exits = np.array([0, 0]), np.array([3, 3])
    trace = make([[0.5, 0.5, 0.5 - 4e-6], [0.5, 0.5, 0.5 - 6e-6]])
    found = disagreements(trace, labels, exits, 0)
    assert (found.broken.tolist(), found.excused.tolist()) == ([1], [0])


def test_bad_traces_and_predictions_are_refused():
    with pytest.raises(InputError, match="expected every one from 1"):
        disagreements(make([[SURE, SURE, SURE]], [2, 3, 4]), np.zeros(1), np.ones(1), 0.5)
    with pytest.raises(InputError, match="found 3, expected the trace's 4 samples"):
        disagreements(TRACE, np.zeros(3), np.ones(3), 0.5)
