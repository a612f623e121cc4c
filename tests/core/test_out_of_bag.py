"""Intervals of the speedup of new rows: against a plain bootstrap, and that they hold."""

import numpy as np
import pytest

from fastbert_core.exit_rules import RULES, exit_layers
from fastbert_core.out_of_bag import draws, first_within, speedup_intervals, spread
from fastbert_core.sweep import slowest_within, totals
from tests.factories import make_trace

MANY = make_trace(6000, 4, skill=0.7)
COST, DENSE = np.arange(1, 13) * 1000, 12_000
TARGETS = (1.5, 3, 6)


def speedup(scores, threshold):
    return DENSE / COST[exit_layers(scores, threshold) - 1].mean()


def test_the_intervals_are_those_of_a_plain_bootstrap_that_chooses_each_time():
    scores, rng, found = MANY.uncertainties[:300], np.random.default_rng(5), []
    for _ in range(400):
        drawn = rng.integers(300, size=300)
        others = np.setdiff1d(np.arange(300), drawn)
        thresholds = [slowest_within(scores[drawn], COST, DENSE / target) for target in TARGETS]
        found.append([speedup(scores[others], threshold) for threshold in thresholds])
    plain = np.quantile(found, [0.05, 0.95], axis=0).T
    np.testing.assert_allclose(speedup_intervals(scores, COST, np.full(300, DENSE), TARGETS), plain, rtol=0.06)


@pytest.mark.parametrize("name", ["entropy", "patience"])
def test_new_rows_lie_within_and_more_calibration_rows_say_more(name):
    scores, widths = RULES[name].score(MANY.probabilities), []
    for size in (200, 800):
        inside = []
        for seed in range(30):
            order = np.random.default_rng(seed).permutation(len(scores))
            mine, new = scores[order[:size]], scores[order[size:]]
            low, high = speedup_intervals(mine, COST, np.full(size, DENSE), [2])[0]
            inside.append(low <= speedup(new, slowest_within(mine, COST, DENSE / 2)) <= high)
        assert np.mean(inside) >= 0.9
        widths.append(high / low - 1)
    assert widths[1] < 0.7 * widths[0]


def test_costs_may_differ_between_rows_and_equal_rows_leave_no_doubt():
    scores, tokens = MANY.uncertainties[:500], MANY.tokens[:500]
    cost = tokens[:, None] * COST
    low, high = speedup_intervals(scores, cost, tokens * DENSE, [3])[0]
    assert low < 3 < high
    alike = speedup_intervals(np.tile(scores[:1], (50, 1)), COST, np.full(50, DENSE), [2])
    assert alike[0, 0] == alike[0, 1] >= 2


def test_thresholds_are_spread_evenly_over_costs():
    scores = MANY.uncertainties
    found = spread(scores, COST, 20)
    spent = totals(scores, COST, found) / len(scores)
    assert len(found) == 20
    assert spent[0] == 12_000
    np.testing.assert_allclose(spent[1:] / spent[:-1], (spent[-1] / spent[0]) ** (1 / 19), rtol=0.02)
    assert len(spread(RULES["static-layer"].score(MANY.probabilities), COST, 20)) == 12


def test_the_first_threshold_within_a_target_or_the_fastest():
    share = np.array([[1.0, 0.5, 0.25], [0.9, 0.6, 0.4]])
    assert first_within(share, [1, 2, 3, 9]).tolist() == [[0, 1, 2, 2], [0, 2, 2, 2]]


def test_draws_have_their_size_and_are_the_same_again():
    drawn = draws(30, 12, 100, seed=3)
    assert (drawn.shape, {*drawn.sum(axis=1)}) == ((100, 30), {12})
    assert len(np.unique(drawn, axis=0)) > 90
    draws.cache_clear()
    np.testing.assert_array_equal(draws(30, 12, 100, seed=3), drawn)
