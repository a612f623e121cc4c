"""Verdicts against a margin: what they say, how often they are wrong, and what the paper's own sample adds."""

import numpy as np
import pytest

from reproductions.statistics import Interval, tango
from reproductions.verdicts import LOSS_MARGIN, ONE_SIDED, Excess, excess_error, excess_loss, judge


def ours(only_teacher, only_student, samples):
    low, high = tango(only_teacher, only_student, samples, ONE_SIDED)
    difference = 100 * (only_teacher - only_student) / samples
    return difference, Interval(100 * low, 100 * high), (only_teacher + only_student) / samples


def test_the_bound_decides():
    family = [Excess(0.1, -0.1, 0.3, 0.2), Excess(1.0, 0.8, 1.2, 1e-6), Excess(0.4, 0.1, 0.7, 0.02)]
    verdicts, p = judge(family, 0.5)
    assert verdicts == ["not worse", "worse", "worse"]
    assert p == pytest.approx([0.2, 3e-6, 0.04])
    # In a larger family the same p is not enough.
    assert judge([*family, Excess(0.0, -1.0, 1.0, 0.5)], 0.5)[0][2] == "inconclusive"


def test_a_significant_excess_within_the_margin_is_not_worse():
    assert judge([Excess(0.2, 0.1, 0.3, 1e-4)], 0.5)[0] == ["not worse"]


def test_the_papers_sampling_error_counts():
    large = excess_loss(*ours(60, 40, 10_000), 0.2, 1_000_000)
    same = excess_loss(*ours(60, 40, 10_000), 0.2, 10_000)
    assert large.value == same.value == pytest.approx(0.0)
    assert same.high == pytest.approx(np.sqrt(2) * large.high, rel=0.02)


def test_a_loss_of_nothing_on_few_samples_proves_nothing():
    small, large = (excess_loss(*ours(0, 0, n), 0.0, n) for n in (100, 20_000))
    assert judge([small], LOSS_MARGIN)[0] == ["inconclusive"]
    assert judge([large], LOSS_MARGIN)[0] == ["not worse"]


def test_a_loss_at_the_margin_is_called_not_worse_in_one_of_twenty():
    rng, called = np.random.default_rng(0), 0
    for _ in range(400):
        (b, c, _), (paper_b, paper_c, _) = (
            rng.multinomial(5000, [0.025, 0.015, 0.96]),
            rng.multinomial(5000, [0.0225, 0.0175, 0.96]),
        )
        excess = excess_loss(*ours(b, c, 5000), 100 * (paper_b - paper_c) / 5000, 5000)
        called += judge([excess], LOSS_MARGIN)[0] == ["not worse"]
    assert called / 400 <= 0.08


def test_equal_losses_are_called_worse_in_one_of_twenty():
    rng, called = np.random.default_rng(1), 0
    for _ in range(400):
        (b, c, _), (paper_b, paper_c, _) = (rng.multinomial(5000, [0.025, 0.015, 0.96]) for _ in range(2))
        excess = excess_loss(*ours(b, c, 5000), 100 * (paper_b - paper_c) / 5000, 5000)
        called += excess.p < 0.05
    assert 0.02 <= called / 400 <= 0.08


def test_an_error_is_the_papers_accuracy_less_ours():
    excess = excess_error(86.0, Interval(85.42, 86.56), 86.88, 10_000)
    assert excess.value == pytest.approx(0.88)
    assert excess.low < 0.88 < excess.high
    assert 0.01 < excess.p < 0.05
