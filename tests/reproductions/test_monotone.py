"""Shares along ordered groups: isotonic regression beside scikit-learn's, and a test that keeps its level."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.isotonic import isotonic_regression

from reproductions.figure4_luha import falling, isotonic_p, largest_rise

counts = st.lists(st.tuples(st.integers(0, 40), st.integers(1, 40)), min_size=1, max_size=10)


@given(counts)
def test_the_fit_is_isotonic_regression(groups):
    right, more = np.array(groups).T
    fitted = falling(right, right + more)
    expected = isotonic_regression(right / (right + more), sample_weight=right + more, increasing=False)
    np.testing.assert_allclose(fitted, expected, atol=1e-12)
    np.testing.assert_allclose(falling(np.stack([right] * 2), np.stack([right + more] * 2)), [expected] * 2, atol=1e-12)


def test_shares_that_fall_are_not_rejected_and_shares_that_rise_are():
    trials = np.array([500, 400, 300, 100])
    assert isotonic_p(np.array([480, 350, 200, 30]), trials) == 1.0
    assert isotonic_p(np.array([300, 300, 270, 95]), trials) < 0.001
    assert np.isnan(isotonic_p(np.array([3]), np.array([4])))


def test_the_test_keeps_its_level_where_all_shares_are_alike():
    """Equal shares are the hardest of those that never rise."""
    rng, trials = np.random.default_rng(3), np.array([200, 150, 120, 80, 40])
    rejected = [isotonic_p(rng.binomial(trials, 0.8), trials) < 0.05 for _ in range(200)]
    assert np.mean(rejected) < 0.05 + 2 * np.sqrt(0.05 * 0.95 / 200)


def test_a_rise_is_found_however_far_apart_its_groups_are():
    trials = np.array([1000, 1000, 1000])
    rise, bound = largest_rise(np.array([700, 600, 750]), trials)
    assert rise == pytest.approx(0.15)
    assert 0.15 < bound < 0.20
    rise, bound = largest_rise(np.array([950, 700, 400]), trials)
    assert rise == pytest.approx(-0.25)
    assert bound < -0.2
    assert np.isnan(largest_rise(np.array([3]), np.array([4]))).all()
