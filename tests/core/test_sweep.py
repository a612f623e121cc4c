"""All thresholds at once against one at a time."""

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.exit_rules import exit_layers
from fastbert_core.sweep import by_sample, every_threshold, slowest_within, totals


@st.composite
def scored(draw):
    """Scores that tie with each other, with 0 and with 1, and values that leaving brings."""
    samples, layers, steps = draw(st.integers(1, 20)), draw(st.integers(1, 6)), draw(st.sampled_from([2, 5, 1000]))
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    return rng.integers(steps, size=(samples, layers)) / (steps - 1), rng.integers(-5, 9, size=(samples, layers))


def by_loop(scores, values, threshold):
    return values[np.arange(len(scores)), exit_layers(scores, threshold) - 1].sum()


@given(scored())
def test_by_sample_is_what_each_sample_leaves_with_and_totals_are_its_sums(case):
    scores, values = case
    thresholds = np.sort(np.append(scores, [0, 0.3, 1, np.inf], axis=None))
    found = by_sample(scores, values, thresholds)
    assert found.sum(axis=0).tolist() == totals(scores, values, thresholds).tolist()
    for threshold, column in zip(thresholds, found.T, strict=True):
        assert column.tolist() == values[np.arange(len(scores)), exit_layers(scores, threshold) - 1].tolist()


@given(scored())
def test_every_threshold_does_something_else_and_none_is_missing(case):
    scores, _ = case
    layers = np.arange(1, scores.shape[1] + 1)
    thresholds = every_threshold(scores)
    executed = totals(scores, layers, thresholds)
    assert executed[0] == scores.size
    assert (np.diff(executed) < 0).all()
    assert (thresholds[0], thresholds[-1] <= 1) == (0, True)
    others = totals(scores, layers, np.sort(np.append(scores, [0, 1], axis=None)))
    assert {*others} <= {*executed}


@given(scored(), st.floats(0.5, 7))
def test_the_slowest_threshold_within_a_cost_keeps_to_it_and_no_lower_one_does(case, most):
    scores, _ = case
    cost = np.arange(1, scores.shape[1] + 1)
    found = slowest_within(scores, cost, most)
    mean = {t: by_loop(scores, np.broadcast_to(cost, scores.shape), t) / len(scores) for t in every_threshold(scores)}
    assert found == min((t for t, spent in mean.items() if spent <= most), default=None)
