"""Intervals and tests against hand-computed values, published examples, scipy, and their own coverage."""

import numpy as np
import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st
from scipy import stats

from reproductions.significance import significant
from reproductions.statistics import (
    Interval,
    accuracy_interval,
    cochran_armitage,
    crossed_bootstrap,
    holm,
    mcnemar,
    mover,
    paired_interval,
    rise,
    spearman,
    tango,
    wilson,
)


def of_proportions(first, trials, second, second_trials, correlation=0.0):
    """The interval of first − second, two proportions of samples of their own."""
    sides = [Interval(*map(float, wilson(p * n, n))) for p, n in ((first, trials), (second, second_trials))]
    return mover(first, sides[0], second, sides[1], correlation)


@pytest.mark.parametrize(("successes", "trials"), [(0, 10), (10, 10), (3, 10), (7451, 7600), (1, 1), (9931, 10000)])
def test_wilson_is_scipys(successes, trials):
    expected = stats.binomtest(successes, trials).proportion_ci(method="wilson")
    assert wilson(successes, trials) == pytest.approx((expected.low, expected.high), abs=1e-12)


@given(st.integers(1, 100_000), st.data())
def test_wilson_holds_the_proportion_and_stays_within_bounds(trials, data):
    successes = data.draw(st.integers(0, trials))
    low, high = wilson(successes, trials)
    assert 0 <= low <= successes / trials <= high <= 1


def test_wilson_without_trials_says_nothing():
    low, high = wilson(np.array([0, 5]), np.array([0, 10]))
    assert np.isnan([low[0], high[0]]).all()
    assert 0 < low[1] < 0.5 < high[1] < 1


def test_bootstrap_of_one_seed_is_the_ordinary_one():
    values = np.random.default_rng(1).integers(0, 4, size=500) / 3
    expected = stats.bootstrap((values,), np.mean, method="percentile", n_resamples=9999, rng=2).confidence_interval
    assert crossed_bootstrap(values[None]) == pytest.approx((expected.low, expected.high), abs=0.003)


def test_bootstrap_of_equal_values_has_no_width():
    assert crossed_bootstrap(np.ones((2, 50))) == (1, 1)


def test_crossed_bootstrap_draws_seeds_and_samples_as_a_loop_would():
    rng = np.random.default_rng(8)
    values = rng.integers(-1, 2, (3, 60)) + np.array([[0], [1], [2]])
    means = [values[rng.integers(0, 3, 3)][:, rng.integers(0, 60, 60)].mean() for _ in range(20_000)]
    assert crossed_bootstrap(values) == pytest.approx(tuple(np.quantile(means, [0.025, 0.975])), abs=0.03)
    alone = crossed_bootstrap(values.mean(axis=0, keepdims=True))  # given these trainings
    assert alone.high - alone.low < 0.5 * (crossed_bootstrap(values).high - crossed_bootstrap(values).low)


def test_bootstrap_covers_the_mean():
    rng, covered = np.random.default_rng(3), 0
    for _ in range(300):
        ease = rng.beta(4, 1, size=400)  # seeds are right on the same easy samples
        correct = rng.random((3, 400)) < ease
        low, high = accuracy_interval(correct)
        covered += low <= 0.8 <= high
    assert covered / 300 >= 0.91  # and more: seeds are drawn too, which here makes no difference


def test_accuracy_of_one_run_is_wilsons_and_of_several_the_bootstraps():
    correct = np.random.default_rng(4).random((3, 200)) < 0.9
    assert accuracy_interval(correct[:1]) == pytest.approx(wilson(correct[0].sum(), 200))
    assert accuracy_interval(correct) == crossed_bootstrap(correct.astype(int))


def likeliest(delta, only_first, only_second, n):
    """Shares (only first, only second) that are likeliest if their difference is delta, found by trying."""
    second = np.linspace(max(0.0, -delta), (1 - delta) / 2, 200_001)[1:-1]
    first, neither = second + delta, 1 - 2 * second - delta
    with np.errstate(divide="ignore", invalid="ignore"):
        fit = (n - only_first - only_second) * np.log(neither)
        fit = fit + np.where(only_first > 0, only_first * np.log(first), 0.0)
        fit = fit + np.where(only_second > 0, only_second * np.log(second), 0.0)
    best = np.nanargmax(fit)
    return first[best], second[best]


@pytest.mark.parametrize(("only_first", "only_second", "n"), [(12, 2, 60), (0, 0, 400), (3, 0, 50), (1, 9, 1000)])
def test_the_ends_of_tangos_interval_are_where_the_score_is_z(only_first, only_second, n):
    low, high = tango(only_first, only_second, n)
    assert low < (only_first - only_second) / n < high
    for end, expected in ((low, 1.959964), (high, -1.959964)):
        first, second = likeliest(end, only_first, only_second, n)
        score = (only_first - only_second - n * end) / np.sqrt(n * (first + second - end**2))
        assert score == pytest.approx(expected, rel=2e-3)


def test_tangos_interval_covers():
    rng, covered = np.random.default_rng(9), 0
    for _ in range(400):
        first, second, *_ = rng.multinomial(500, [0.03, 0.01, 0.96])
        low, high = tango(first, second, 500)
        covered += low <= 0.02 <= high
    assert 0.92 <= covered / 400 <= 0.98


def test_a_paired_interval_knows_that_the_samples_are_the_same():
    rng = np.random.default_rng(5)
    first = rng.random(2000) < 0.8
    second = first.copy()
    second[np.flatnonzero(first)[:10]] = False  # right wherever `first` is, but for ten samples
    low, high = paired_interval(first[None], second[None])
    assert low == tango(10, 0, 2000).low
    assert 0 < low < 10 / 2000 < high < 0.01
    unpaired = of_proportions(first.mean(), 2000, second.mean(), 2000)
    assert unpaired.low < 0 < unpaired.high


@pytest.mark.parametrize("level", [0.95, 0.9])
def test_a_paired_interval_of_several_seeds_without_a_discordant_pair_is_tangos(level):
    same = np.random.default_rng(5).random((3, 400)) < 0.8
    assert paired_interval(same, same, level) == pytest.approx(tango(0, 0, 400, level))
    other = same.copy()
    other[1, 7] = ~other[1, 7]  # one pair of one seed: not surer than none
    low, high = paired_interval(same, other, level)
    assert high - low >= tango(0, 0, 400, level).high - tango(0, 0, 400, level).low
    assert low < (same.mean() - other.mean()) < high


def test_a_paired_interval_of_several_seeds_stays_within_what_is_possible_and_elsewhere_is_the_bootstraps():
    right = np.ones((3, 50), bool)
    low, high = paired_interval(right, ~right)
    assert (low, high) == (pytest.approx(1 - tango(0, 0, 50).high), 1)
    rng = np.random.default_rng(6)
    first, second = rng.random((3, 2000)) < 0.8, rng.random((3, 2000)) < 0.7
    assert paired_interval(first, second) == crossed_bootstrap(first.astype(int) - second.astype(int))


def test_a_paired_interval_of_several_seeds_covers_where_discordant_pairs_are_rare():
    rng, covered, bare = np.random.default_rng(7), 0, 0
    for _ in range(100):
        harder = rng.random(400) < 0.0025  # samples that the second gets wrong in every seed: one of 400
        first = np.ones((3, 400), bool)
        low, high = paired_interval(first, first & ~harder)
        covered += low <= 0.0025 <= high
        low, high = crossed_bootstrap((first & harder).astype(int))
        bare += low <= 0.0025 <= high
    assert covered / 100 >= 0.95 > bare / 100


def test_an_accuracy_of_several_seeds_that_are_all_right_has_a_width():
    for correct in (np.ones((3, 200), bool), np.zeros((3, 200), bool)):
        assert accuracy_interval(correct) == pytest.approx(wilson(correct[0].sum(), 200))


# Newcombe, Statistics in Medicine 17 (1998), 873-890, table II, method 10.
@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ((56, 70), (48, 80), (0.0524, 0.3339)),
        ((9, 10), (3, 10), (0.1705, 0.8090)),
        ((6, 7), (2, 7), (0.0582, 0.8062)),
        ((5, 56), (0, 29), (-0.0381, 0.1926)),
        ((0, 10), (0, 20), (-0.1611, 0.2775)),
        ((10, 10), (0, 20), (0.6791, 1.0)),
    ],
)
def test_a_difference_of_proportions_is_newcombes(first, second, expected):
    interval = of_proportions(first[0] / first[1], first[1], second[0] / second[1], second[1])
    assert interval == pytest.approx(expected, abs=5e-5)


def test_answers_that_are_correlated_make_a_difference_surer():
    widths = []
    for correlation in (0.0, 0.7):
        low, high = of_proportions(0.86, 10_000, 0.87, 10_000, correlation)
        assert low < -0.01 < high
        widths.append(high - low)
    assert widths[1] / widths[0] == pytest.approx(np.sqrt(0.3), rel=0.01)


def test_a_difference_of_proportions_covers_near_one():
    rng = np.random.default_rng(6)
    ones, others = rng.binomial(1200, 0.992, 2000) / 1200, rng.binomial(1200, 0.992, 2000) / 1200
    intervals = [of_proportions(a, 1200, b, 1200) for a, b in zip(ones, others, strict=True)]
    covered = np.mean([low <= 0 <= high for low, high in intervals])
    assert 0.93 <= covered <= 0.98


def test_mcnemar_by_hand():
    first = np.array([True] * 9 + [False] + [True] * 20)
    second = np.array([False] * 9 + [True] + [True] * 20)
    # Of ten disagreements one or none goes one way: 2 · (1 + 10) / 2¹⁰.
    assert mcnemar(first, second) == pytest.approx(22 / 1024)
    assert mcnemar(second, first) == pytest.approx(22 / 1024)
    assert mcnemar(first, first) == 1


def test_holm_by_hand():
    assert holm([0.01, 0.04, 0.03, 0.005]) == pytest.approx([0.03, 0.06, 0.06, 0.02])
    assert holm([0.6, 0.7]) == pytest.approx([1, 1])
    assert holm([]).size == 0


def test_holm_leaves_out_what_was_not_tested():
    corrected = holm([0.01, np.nan, 0.04])
    assert corrected[[0, 2]] == pytest.approx([0.02, 0.04])
    assert np.isnan(corrected[1])


@given(st.lists(st.floats(0, 1), min_size=1, max_size=20))
def test_holm_never_lowers_a_p_and_keeps_their_order(p_values):
    p, corrected = np.array(p_values), holm(p_values)
    assert (corrected >= p).all()
    assert (corrected <= 1).all()
    order = np.argsort(p, kind="stable")
    assert (np.diff(corrected[order]) >= 0).all()


def test_cochran_armitage_on_a_published_example():
    # Agresti, Categorical Data Analysis: alcohol and malformation, z² = 6.57.
    malformed, total = np.array([48, 38, 5, 1, 1]), np.array([17114, 14502, 793, 127, 38])
    trend = cochran_armitage(malformed, total, np.array([0, 0.5, 1.5, 4, 7]))
    assert trend.z**2 == pytest.approx(6.57, abs=0.005)
    assert trend.z > 0


def test_cochran_armitage_is_a_correlation():
    rng = np.random.default_rng(7)
    groups, success = rng.integers(0, 10, 3000), rng.random(3000) < 0.5
    total, right = np.bincount(groups, minlength=10), np.bincount(groups, success, minlength=10)
    trend = cochran_armitage(right, total, np.arange(10))
    correlation = np.corrcoef(groups, success)[0, 1]
    assert trend.z == pytest.approx(correlation * np.sqrt(3000))
    # Where no group is rare the permutation p is near the normal one.
    assert trend.p == pytest.approx(2 * stats.norm.sf(abs(trend.z)), abs=0.02)


def test_cochran_armitage_turns_with_the_scores():
    falling = cochran_armitage(np.array([90, 70, 50]), np.array([100, 100, 100]), np.arange(3))
    rising = cochran_armitage(np.array([90, 70, 50]), np.array([100, 100, 100]), -np.arange(3))
    assert falling.z == pytest.approx(-rising.z)
    assert falling.z < 0
    assert falling.p == rising.p < 0.001


def test_cochran_armitage_keeps_its_level_when_errors_and_unsure_samples_are_rare():
    # 60 errors among 7600 samples, nearly all of them in the first group: the normal p goes wrong here.
    total, rng, scores = (
        np.array([7400, 60, 40, 30, 20, 20, 10, 8, 6, 6]),
        np.random.default_rng(8),
        np.arange(10) + 0.5,
    )
    null = rng.multivariate_hypergeometric(total, 60, size=400)
    p = np.array([cochran_armitage(total - errors, total, scores).p for errors in null])
    assert (p < 0.05).mean() < 0.08
    assert (p < 0.01).mean() < 0.025


# 601 of 1202 at 0.95: the one group's mean score is not 0.95 to the last bit.
@pytest.mark.parametrize(
    ("right", "total"), [([5, 5], [5, 5]), ([0, 0], [5, 5]), ([3, 0], [5, 0]), ([0, 601], [0, 1202])]
)
def test_no_trend_can_be_seen_without_variation(right, total):
    trend = cochran_armitage(np.array(right), np.array(total), np.array([0.05, 0.95]))
    assert np.isnan(trend.z)
    assert np.isnan(trend.p)


def test_rise_is_fishers_exact_test():
    right, total = np.array([50, 70, 40, 5]), np.array([100, 100, 80, 5])
    for index, p in enumerate(rise(right, total)):
        table = [[right[j], total[j] - right[j]] for j in (index + 1, index)]
        assert p == pytest.approx(stats.fisher_exact(table, alternative="greater").pvalue)


def test_rise_is_not_tested_beside_an_empty_group():
    assert np.isnan(rise([5, 0, 9], [10, 0, 10])).all()


def test_spearman_is_scipys_and_silent_on_constants():
    rng = np.random.default_rng(9)
    x, y = rng.random(200), rng.random(200) < 0.5
    assert spearman(x, y) == pytest.approx(stats.spearmanr(x, y).statistic)
    assert np.isnan(spearman(x, np.ones(200, bool)))
    assert np.isnan(spearman(np.zeros(200), y))


def test_a_difference_is_significant_in_the_first_seed_and_over_all_of_them():
    rows = pd.DataFrame(
        {
            "difference": [1.0, -1.0, 1.0, 1.0, -1.0, np.nan],
            "difference_low": [0.2, -2.0, -0.1, 0.2, -2.0, np.nan],
            "difference_high": [1.8, -0.1, 2.1, 1.8, 0.0, np.nan],
            "mcnemar_p_holm": [0.01, 0.01, 0.01, 0.06, 0.01, np.nan],
        }
    )
    assert significant(rows).tolist() == [1, -1, 0, 0, 0, 0]
