"""Metrics of a trace against plain loops, and the properties that any trace has."""

import sys
from functools import partial

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from fastbert_core import metrics
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import entropy
from fastbert_core.metrics import at_flops, at_layer, at_speed, curve, dense
from fastbert_core.uncertainty import uncertainty
from tests.factories import BERT, binary_trace, make_trace, softmax, trace_of

EXECUTED = 1_853_915_136  # FLOPs of one executed layer of the paper's FastBERT
DENSE = 21_785_247_744  # the authors' README
SPEEDS = np.arange(101) / 100


@st.composite
def traces(draw):
    """Small traces of any shape; coarse logits, so that uncertainties tie with each other and with speeds."""
    samples, layers, classes = draw(st.integers(1, 30)), draw(st.integers(1, 6)), draw(st.integers(2, 4))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    logits = rng.integers(-3, 4, size=(samples, layers, classes)) * draw(st.sampled_from([0.0, 0.5, 3.0, 200.0]))
    return trace_of(softmax(logits), rng.integers(classes, size=samples))


def leave_by_loop(some_trace, speed):
    """Exit layer and correctness of each sample, one at a time, as section 3.4 says it."""
    exits, right = [], []
    for probabilities, label in zip(some_trace.probabilities, some_trace.labels, strict=True):
        for layer, row in enumerate(probabilities, 1):
            if uncertainty(row) < speed or layer == len(probabilities):
                exits.append(layer)
                right.append(row.argmax() == label)
                break
    return np.array(exits), np.array(right)


@given(traces(), st.sampled_from([0.0, 0.3, 0.5, 0.97, 1.0]))
def test_at_speed_is_the_loop_over_samples(some_trace, speed):
    exits, right = leave_by_loop(some_trace, speed)
    outcome = at_speed(some_trace, speed)
    assert outcome.exit_layer.tolist() == exits.tolist()
    assert outcome.correct.tolist() == right.tolist()
    assert outcome.accuracy == pytest.approx(100 * right.mean())
    assert outcome.mean_layers == pytest.approx(exits.mean())
    assert outcome.flops == pytest.approx(exits.mean() * EXECUTED)


@settings(max_examples=50)
@given(traces())
def test_curve_is_at_speed_at_every_speed(some_trace):
    # The trace's own uncertainties are speeds too: there "below" and "at or below" part.
    speeds = np.unique(np.append([0, 0.3, 1], some_trace.uncertainties[:10]))
    for row in curve(some_trace, speeds).itertuples():
        outcome = at_speed(some_trace, row.speed)
        assert row.accuracy == pytest.approx(outcome.accuracy)
        assert row.mean_layers == pytest.approx(outcome.mean_layers)
        assert row.mflops == pytest.approx(outcome.flops / 1e6)
        assert row.speedup == pytest.approx(outcome.speedup)


@settings(max_examples=50)
@given(traces(), st.floats(1, 6) | st.integers(1, 6))
@example(binary_trace(np.full((4, 3), 0.5), np.ones((4, 3), bool)), 1)  # uncertainty 1 everywhere
def test_equal_flops_are_never_exceeded_and_no_slower_threshold_keeps_to_them(some_trace, layers):
    sofar = np.minimum.accumulate(some_trace.uncertainties[:, :-1], axis=1)
    thresholds = [0, *np.nextafter(np.unique(sofar), 2)]  # all that differ
    costs = [(1 + (sofar >= threshold).sum(axis=1)).mean() * EXECUTED for threshold in thresholds]
    best = next(cost for cost in costs if cost <= layers * EXECUTED * (1 + 1e-15))
    outcome = at_flops(some_trace, layers * EXECUTED)
    assert outcome.flops <= layers * EXECUTED
    assert outcome.flops == pytest.approx(best, rel=1e-12)


@given(traces(), st.floats(0, 1))
def test_the_flops_of_a_speed_buy_what_the_speed_did(some_trace, speed):
    outcome = at_speed(some_trace, speed)
    assert at_flops(some_trace, outcome.flops).exit_layer.tolist() == outcome.exit_layer.tolist()


def test_less_than_one_layer_buys_nothing():
    some_trace = make_trace(20)
    assert at_flops(some_trace, EXECUTED).mean_layers == 1
    with pytest.raises(InputError, match=f"found {EXECUTED - 1} FLOPs a sample, expected one layer's {EXECUTED}"):
        at_flops(some_trace, EXECUTED - 1)


def test_the_papers_costs():
    some_trace = make_trace(50)
    everything = at_speed(some_trace, 0)
    assert everything.flops == 12 * EXECUTED == 22_246_981_632
    assert everything.speedup == pytest.approx(0.979, abs=5e-4)
    bert = dense(some_trace)
    assert (bert.flops, bert.speedup, bert.mean_layers) == (DENSE, 1.0, 12)
    assert bert.correct.tolist() == some_trace.correct[:, 11].tolist()
    first = at_layer(some_trace, 1)
    assert first.speedup == pytest.approx(11.751, abs=5e-4)
    assert at_layer(some_trace, 6).flops == 6 * EXECUTED  # table 3: 11123M
    assert at_layer(some_trace, 6).correct.tolist() == some_trace.correct[:, 5].tolist()


@pytest.mark.parametrize(
    ("some_trace", "layer", "at"),
    [
        (make_trace(50), 6, 5),  # a student alone runs no other classifier
        (make_trace(50, training="distilbert-3", encoder={**BERT, "layers": 3}, layers=[3]), None, 0),
    ],
)
def test_one_layer_counts_as_a_dense_model_of_that_depth(some_trace, layer, at):
    alone, depth = dense(some_trace, layer), layer or 3
    assert (alone.flops, alone.mean_layers) == (DENSE - (12 - depth) * 1_811_939_328, depth)
    assert alone.correct.tolist() == some_trace.correct[:, at].tolist()


@pytest.mark.parametrize("speed", [-0.1, 1.1, float("nan"), "fast"])
def test_a_speed_outside_0_to_1_is_refused(speed):
    with pytest.raises(InputError, match=r"speed: found .* expected a number in \[0, 1\]"):
        curve(make_trace(5), [0.5, speed])


def test_a_trace_without_all_layers_has_no_speeds():
    teacher = make_trace(5, layers=[12])
    with pytest.raises(InputError, match=r"found layers \[12\], expected every one from 1 to 12"):
        at_speed(teacher, 0.5)
    with pytest.raises(InputError, match="found layers"):
        curve(teacher, [0.5])
    with pytest.raises(InputError, match="layer: found 13"):
        at_layer(make_trace(5), 13)
    with pytest.raises(InputError, match="no layer 3"):
        dense(teacher, 3)


def count_calls(work):
    """How many functions, in Python and in C, `work` calls."""
    calls = 0

    def profile(frame, event, argument):
        nonlocal calls
        calls += event in ("call", "c_call")

    sys.setprofile(profile)
    try:
        work()
    finally:
        sys.setprofile(None)
    return calls


def test_the_curve_loops_neither_over_samples_nor_over_speeds(monkeypatch):
    monkeypatch.setattr(metrics, "check_speed", float)  # the one thing that is done for each speed
    few, many = make_trace(20, 14), make_trace(2000, 14)
    calls = []
    for some_trace, speeds in ((few, [0.5, 0.7]), (many, [0.5, 0.7]), (many, SPEEDS)):
        curve(some_trace, speeds)  # warms caches, uncertainties included
        calls.append(count_calls(partial(curve, some_trace, speeds)))
    assert max(calls) - min(calls) < 50  # 1980 samples and 99 speeds apart


def test_uncertainties_are_computed_once_for_a_trace(monkeypatch):
    computed, some_trace = [], make_trace(100)
    monkeypatch.setattr(entropy, "uncertainty", lambda p: computed.append(1) or uncertainty(p))
    for _ in range(3):
        curve(some_trace, SPEEDS)
        at_speed(some_trace, 0.3)
        at_flops(some_trace, 4e9)
    assert len(computed) == 1
