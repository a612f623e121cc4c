"""Operating points: what they promise, and that it holds."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import binom

from fastbert_core import thresholds
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import RULES, exit_layers
from fastbert_core.sweep import totals
from fastbert_core.task_types import SINGLE
from fastbert_core.thresholds import (
    GRID,
    by_speedup,
    certified,
    disagreement,
    errors_allowed,
    harm,
    learn_then_test,
    rows_needed,
    within,
)
from tests.factories import make_trace, naive

COST = np.arange(1, 13) * 1.02  # of twelve layers, in a dense model's layers
MANY = make_trace(12_000, 4, skill=0.7)


def lost(losses, scores, threshold):
    """Share of rows that are lost at a threshold; none where nothing ever exits."""
    if threshold is None:
        return 0.0
    return losses[np.arange(len(losses)), exit_layers(scores, threshold) - 1].mean()


@pytest.mark.parametrize("name", SINGLE.rules())
def test_by_speedup_every_rule_keeps_to_the_cost_and_no_slower_threshold_does(name):
    if RULES[name].unnormalised:
        p = MANY.probabilities[:500].astype(np.float64) * np.geomspace(0.5, 50, 12)[:, None]
    else:
        p = MANY.probabilities[:500]
    scores = RULES[name].fit(p, MANY.labels[:500]).score(p)
    for target in (1.5, 2, 3):  # as fast as all of them get
        threshold = by_speedup(scores, COST, 12, target).threshold
        depth = exit_layers(scores, threshold)
        assert COST[depth - 1].mean() <= 12 / target * (1 + 1e-12)
        slower = exit_layers(scores, np.nextafter(threshold, -1))
        assert COST[slower - 1].mean() > 12 / target


def test_a_cost_may_differ_between_samples_and_be_seconds():
    scores, tokens = MANY.uncertainties[:400], MANY.tokens[:400]
    seconds = 1e-4 * tokens[:, None] * np.arange(1, 13)
    choice = by_speedup(scores, seconds, 12e-4 * tokens.mean(), 3)
    spent = seconds[np.arange(400), exit_layers(scores, choice.threshold) - 1].mean()
    assert 3 <= 12e-4 * tokens.mean() / spent < 3.05
    assert "3 times" in choice.promise


@given(seed=st.integers(0, 1000), target=st.floats(1.02, 8))
@settings(max_examples=40)
def test_the_promised_speedup_is_found_again_on_new_rows(seed, target):
    order = np.random.default_rng(seed).permutation(len(MANY.labels))
    calibration, new = MANY.uncertainties[order[:2000]], MANY.uncertainties[order[2000:]]
    threshold = by_speedup(calibration, COST, 12, target).threshold
    achieved = 12 / COST[exit_layers(new, threshold) - 1].mean()
    assert achieved == pytest.approx(target, rel=0.1)


@pytest.mark.parametrize("target", [0.9, 12, float("nan")])
def test_a_speedup_out_of_reach_is_told_its_range(target):
    with pytest.raises(InputError, match=r"speedup: found .*, expected a number from 1 to 11.76"):
        by_speedup(MANY.uncertainties, COST, 12, target)


def test_the_rows_and_errors_of_learn_then_test():
    allowed = [[errors_allowed(rows, share) for share in (0.005, 0.01, 0.02)] for rows in (500, 1000, 2000)]
    assert allowed == [[0, 1, 5], [1, 5, 13], [5, 13, 31]]
    assert [rows_needed(share) for share in (0.005, 0.01, 0.02)] == [460, 230, 114]
    for share in (0.005, 0.01, 0.02):
        assert errors_allowed(rows_needed(share), share) == 0
        assert errors_allowed(rows_needed(share) - 1, share) == -1


def test_losses_by_hand():
    p = np.eye(3)[np.array([[0, 1, 1], [2, 0, 2]])]
    answers, labels = p.argmax(axis=-1), np.array([1, 0])
    assert disagreement(answers, p).tolist() == [[True, False, False], [False, True, False]]
    assert harm(answers, p, labels).tolist() == [[True, False, False], [False, False, False]]


def test_what_is_certified_is_the_last_before_the_first_that_fails(monkeypatch):
    """1000 rows of one exit: those above a threshold are lost. A published code returns the first that failed."""
    scores = np.column_stack([np.arange(1000) / 1000, np.ones(1000)])
    losses = np.column_stack([np.arange(1000) % 2 == 1, np.zeros(1000, bool)])
    # At k / 1000 the first k rows leave and k // 2 are lost.
    monkeypatch.setattr(thresholds, "GRID", np.arange(0, 21) / 1000)
    allowed = errors_allowed(1000, 0.01)
    assert allowed == 5
    found = learn_then_test(losses, scores, 0.01).threshold
    assert found == 11 / 1000
    assert binom.cdf(lost(losses, scores, found) * 1000, 1000, 0.01) <= 0.1
    assert binom.cdf(lost(losses, scores, 12 / 1000) * 1000, 1000, 0.01) > 0.1


def test_once_one_has_failed_no_later_one_is_looked_at():
    scores, losses = np.tile([0.5, 1.0], (1000, 1)), np.zeros((1000, 2), bool)
    scores[:100, 0], losses[:100, 0] = 0.1, True
    scores = np.concatenate([scores, np.tile([0.05, 1.0], (1000, 1))])
    losses = np.concatenate([losses, np.zeros((1000, 2), bool)])
    assert learn_then_test(losses, scores, 0.01).threshold <= 0.1
    assert naive(losses, scores, 0.06).threshold == 1


def test_many_draws_at_once_choose_as_each_alone_does():
    rng = np.random.default_rng(0)
    some = [rng.permutation(len(MANY.labels))[:400] for _ in range(20)]
    scores, losses = MANY.uncertainties, disagreement(MANY.predictions, MANY.probabilities)
    lost = np.stack([totals(scores[rows], losses[rows], GRID) for rows in some])
    for at_once, alone in ((certified, learn_then_test), (within, naive)):
        for tolerated in (0.001, 0.01, 0.05):
            found = [None if passed == 0 else GRID[passed - 1] for passed in at_once(lost, 400, tolerated)]
            assert found == [alone(losses[rows], scores[rows], tolerated).threshold for rows in some]


@pytest.mark.parametrize("rows", [1, 50, 113])
def test_too_few_rows_never_exit(rows):
    scores, losses = np.zeros((rows, 3)), np.zeros((rows, 3), bool)
    assert learn_then_test(losses, scores, 0.02).threshold is None
    assert learn_then_test(np.zeros((114, 3), bool), np.zeros((114, 3)), 0.02).threshold == 1
    assert naive(losses, scores, 0.02).threshold == 1


def test_answers_that_are_not_the_last_layer_s_even_at_the_end_may_never_exit():
    p = MANY.probabilities[:1000]
    rule = RULES["mean-ensemble"]
    losses = disagreement(rule.answer(p), p)
    assert losses[:, -1].mean() > 0.005
    assert learn_then_test(losses, rule.score(p), 0.005).threshold is None


@pytest.mark.parametrize("rule", ["entropy", "patience"])
def test_the_promise_is_broken_as_rarely_as_it_says_and_the_naive_one_is_not(rule):
    p = MANY.probabilities
    scores, losses = RULES[rule].score(p), disagreement(RULES[rule].answer(p), p)
    splits, broken = 200, {learn_then_test: 0, naive: 0}
    for seed in range(splits):
        order = np.random.default_rng(seed).permutation(len(p))
        calibration, new = order[:1000], order[1000:]
        for choose in broken:
            threshold = choose(losses[calibration], scores[calibration], 0.02).threshold
            broken[choose] += lost(losses[new], scores[new], threshold) > 0.02
    two_errors = 2 * np.sqrt(0.1 * 0.9 / splits)
    assert broken[learn_then_test] / splits <= 0.1 + two_errors
    if rule != "patience":  # whose few thresholds lie far from what is tolerated
        assert broken[naive] / splits > 0.25


@given(rows=st.integers(1, 300), tolerated=st.floats(0.01, 0.5), error=st.floats(0.01, 0.5), seed=st.integers(0, 99))
@settings(max_examples=50)
def test_less_is_certified_than_the_naive_choice_takes_and_the_more_the_laxer(rows, tolerated, error, seed):
    some = np.random.default_rng(seed).permutation(len(MANY.labels))[:rows]
    scores, losses = MANY.uncertainties[some], disagreement(MANY.predictions[some], MANY.probabilities[some])

    def certified(*asked):
        return learn_then_test(losses, scores, *asked).threshold or 0.0

    # Below a half, a median of the binomial is at most its mean: what is certified loses at most what is tolerated.
    assert certified(tolerated, error) <= naive(losses, scores, tolerated).threshold
    assert certified(tolerated, error) <= certified(min(2 * tolerated, 0.9), error)
    assert certified(tolerated, error) <= certified(tolerated, min(2 * error, 0.9))


@pytest.mark.parametrize("shares", [(0.0, 0.1), (1.0, 0.1), (0.01, 0.0), (0.01, 1.0), (float("nan"), 0.1)])
def test_shares_outside_0_to_1_are_refused(shares):
    with pytest.raises(InputError, match=r"(tolerated|error): found .*, expected a number between 0 and 1"):
        learn_then_test(np.zeros((5, 2), bool), np.zeros((5, 2)), *shares)
