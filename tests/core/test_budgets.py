"""Budgets over streams: the bound holds whatever comes, and the alarm is silent until something does."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbert_core.budgets import Alarm, Budget, Pace, held
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import exit_layers
from fastbert_core.sweep import slowest_within
from tests.factories import make_trace

EASY = make_trace(4000, 4).uncertainties
HARD = EASY**0.3  # of a model that is less sure


def scores_of(draw):
    """Scores that tie with each other, with 0 and with 1."""
    rows, layers = draw(st.integers(1, 60)), draw(st.integers(2, 6))
    rng, steps = np.random.default_rng(draw(st.integers(0, 2**32))), draw(st.sampled_from([2, 5, 1000]))
    return rng.integers(steps, size=(rows, layers)) / (steps - 1), rng


@given(st.data(), st.floats(0, 1), st.sampled_from([0.001, 0.01, 0.3, 5]), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_error_is_bounded_whatever_stream_comes(data, share, gain, batch):
    calibration, rng = scores_of(data.draw)
    layers = calibration.shape[1]
    stream = rng.choice([0, 0.2, 0.5, 1], size=(data.draw(st.integers(1, 400)), layers))
    stream[len(stream) // 2 :] = data.draw(st.sampled_from([0.0, 1.0]))  # what is as easy, or as hard, as can be
    budget = Budget.from_scores(calibration, 1 + share * (layers - 1), gain)
    executed = held(stream, budget, batch)
    assert budget.samples == len(stream) == len(executed)
    assert abs(executed.mean() - budget.budget) <= budget.bound * (1 + 1e-9)


@given(st.lists(st.booleans(), min_size=1, max_size=300), st.floats(1, 12), st.sampled_from([0.01, 0.2]))
@settings(deadline=None)
def test_the_bound_holds_against_an_adversary_who_sees_the_threshold(longs, budget, gain):
    controller, spent = Budget.from_scores(EASY[:50], budget, gain), 0
    for long in longs:  # whoever sees it can make any sample leave first or last, but where none or all leave
        threshold = controller.threshold
        executed = 1 if np.isinf(threshold) else 12 if threshold == 0 or long else 1
        controller.spend(np.array([executed]))
        spent += executed
        assert 1 - gain * 11 <= controller.asked <= 12 + gain * 11
        assert abs(spent / controller.samples - budget) <= controller.bound * (1 + 1e-9)


def test_the_bound_of_a_long_stream_is_a_few_per_cent_and_falls_with_its_length():
    controller = Budget.from_scores(EASY, 4)
    assert controller.bound == np.inf
    for _ in range(10_000):
        controller.spend(np.array([4]))
    assert controller.bound == pytest.approx((8 / 0.01 + 3) / 10_000)
    controller.spend(np.full(30, 4))  # a batch of 30 may go further astray before anyone is told
    assert controller.bound == pytest.approx((8 / 0.01 + 30 * 3) / 10_030)


@pytest.mark.parametrize("budget", [2.5, 4])
def test_a_stream_that_becomes_harder_stays_within_its_budget_where_a_fixed_threshold_does_not(budget):
    stream = np.concatenate([EASY, HARD, EASY[:2000]])
    fixed = slowest_within(EASY, np.arange(1, 13), budget)
    assert exit_layers(stream, fixed).mean() > 1.2 * budget
    executed = held(stream, Budget.from_scores(EASY, budget), batch=32)
    assert executed.mean() == pytest.approx(budget, rel=0.03)
    for start in range(0, len(stream) - 1000, 250):
        assert executed[start : start + 1000].mean() == pytest.approx(budget, rel=0.15)


def test_calibration_feeds_forward_so_that_a_stream_like_it_is_right_from_the_start():
    controller = Budget.from_scores(EASY, 3)
    assert exit_layers(EASY, controller.threshold).mean() == pytest.approx(3, abs=0.01)
    assert exit_layers(EASY, np.nextafter(controller.threshold, -1)).mean() > 3
    executed = held(EASY, controller)
    assert executed[:1000].mean() == pytest.approx(3, rel=0.05)


@pytest.mark.parametrize("asked", [(0.9, 0.01), (12.1, 0.01), (float("nan"), 0.01), (4, 0), (4, float("nan"))])
def test_a_budget_or_gain_that_cannot_be_is_refused(asked):
    with pytest.raises(InputError, match=r"(budget: found .* mean layers from 1 to 12|gain: found .* above 0)"):
        Budget.from_scores(EASY, *asked)


def at_pace(scores, per_second, came, gain=0.01, batch=32):
    """A stream of which batch k is complete at came[k]: executed layers, and what each sample was allowed."""
    times = iter([0.0, *came])
    pace = Pace(*_feed_forward(EASY), per_second, gain, clock=lambda: next(times))
    executed, allowed = [], []
    for start in range(0, len(scores), batch):
        rows = scores[start : start + batch]
        pace.begin(len(rows))
        executed.append(exit_layers(rows, pace.threshold))
        pace.spend(executed[-1])
        allowed.append(np.full(len(rows), pace.budget))
    return np.concatenate(executed), np.concatenate(allowed), pace


def _feed_forward(scores):
    fed = Budget.from_scores(scores, 1)
    return fed._thresholds, fed._spent


def test_layers_of_a_second_are_held_while_pace_and_difficulty_change():
    stream = np.concatenate([EASY, HARD])
    batches = len(stream) // 32
    seconds = np.where(np.arange(batches) % 50 < 25, 0.16, 0.32)  # 200, then 100 texts a second
    executed, allowed, pace = at_pace(stream, 600, seconds.cumsum())
    assert {*allowed.round(6)} == {3.0, 6.0}
    assert executed.sum() / seconds.sum() == pytest.approx(600, rel=0.02)
    assert executed[allowed < 4][2000:].mean() == pytest.approx(3, rel=0.1)  # the threshold follows the pace at once
    fixed = slowest_within(EASY, np.arange(1, 13), 4)  # what 600 layers a second are on average
    assert exit_layers(stream, fixed).sum() / seconds.sum() > 1.2 * 600
    assert abs(executed.mean() - allowed.mean()) <= pace.bound


def test_what_cannot_be_spent_is_not_saved_up_and_a_flood_leaves_at_the_first_layer():
    idle, flood = np.full(60, 1000.0), np.full(60, 1e-6)
    executed, allowed, _ = at_pace(EASY[:3840], 600, np.concatenate([idle, flood]).cumsum())
    assert {*allowed[:1920]} == {12.0}
    assert (executed[:1920] == 12).all()
    assert {*allowed[1920:]} == {1.0}
    assert (executed[1920:] == 1).all()


@given(st.data(), st.sampled_from([0.001, 0.01, 0.3, 5]), st.integers(1, 9))
@settings(max_examples=40, deadline=None)
def test_the_error_of_a_pace_is_bounded_whatever_stream_comes_and_whenever(data, gain, batch):
    rng = np.random.default_rng(data.draw(st.integers(0, 2**32)))
    stream = rng.choice([0, 0.2, 0.5, 1], size=(data.draw(st.integers(1, 300)), 12))
    stream[len(stream) // 2 :] = data.draw(st.sampled_from([0.0, 1.0]))
    came = rng.choice([0, 1e-3, 0.05, 3], size=len(stream)).cumsum()
    executed, allowed, pace = at_pace(stream, data.draw(st.floats(1, 500)), came, gain, batch)
    assert abs((executed - allowed).sum()) / len(stream) <= pace.bound * (1 + 1e-9)


@pytest.mark.parametrize("per_second", [0, -1, float("nan"), float("inf"), "many"])
def test_a_pace_that_cannot_be_is_refused(per_second):
    with pytest.raises(InputError, match=r"layers_per_second: found .* expected a number above 0"):
        Pace(*_feed_forward(EASY), per_second)


def drawn(seed, size):
    return EASY[np.random.default_rng(seed).integers(len(EASY), size=size), 0]


def test_false_alarms_are_as_rare_as_promised_for_streams_of_any_length():
    raised = 0
    for seed in range(150):
        values = drawn(seed, 400)
        alarm = Alarm(values[:100], level=0.1, seed=seed)
        raised += alarm.watch(values[100:])
    assert raised / 150 <= 0.1 + 2 * np.sqrt(0.1 * 0.9 / 150)


@pytest.mark.parametrize(("values", "above"), [(HARD[:, 0], True), (EASY[:, 0] / 2, False)])
def test_a_change_late_in_a_stream_is_noticed_soon_and_its_side_is_told(values, above):
    alarm = Alarm(drawn(0, 500))
    assert not alarm.watch(drawn(1, 2000))
    assert alarm.watch(np.random.default_rng(0).permutation(values)[:1000])
    assert 2000 < alarm.raised_at < 2500
    assert alarm.above == above
    assert alarm.watch(drawn(2, 10))


def test_layers_of_leaving_which_tie_are_watched_as_well():
    fixed = slowest_within(EASY, np.arange(1, 13), 4)
    order = np.random.default_rng(3).permutation(len(EASY))
    alarm = Alarm(exit_layers(EASY[order[:500]], fixed))
    assert not alarm.watch(exit_layers(EASY[order[500:2500]], fixed))
    assert alarm.watch(exit_layers(HARD[:500], fixed))


@pytest.mark.parametrize("level", [0, 1, float("nan")])
def test_a_level_that_is_no_chance_is_refused(level):
    with pytest.raises(InputError, match=r"level: found .*, expected a number between 0 and 1"):
        Alarm(np.zeros(3), level)
