"""Thresholds of every layer: what they certify, where they must not exit, and that the promise is kept."""

import numpy as np
import pytest

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import exit_layers
from fastbert_core.layer_thresholds import by_layer, lost_so_far

LAYERS = 5


def drawn(rng, rows, risks):
    """Scores that say nothing, and losses that a layer has at a rate of its own, whatever the score."""
    return rng.random((rows, LAYERS)) < [*risks, 0.0], rng.random((rows, LAYERS))


def test_layers_that_lose_too_much_never_exit_and_the_others_do():
    losses, scores = drawn(np.random.default_rng(0), 4000, [0.5, 0.3, 0.005, 0.005])
    thresholds = by_layer(losses, scores, 0.02)
    assert thresholds[:2].tolist() == [0, 0]
    assert thresholds[2] > 0.9  # and nobody comes to the next
    left = exit_layers(scores, thresholds)
    assert {*left[scores[:, 2] < 0.9]} == {3}


def test_the_promise_is_broken_in_no_more_draws_than_it_says():
    rng, broken = np.random.default_rng(1), 0
    many, scores_of_many = drawn(rng, 60_000, [0.06, 0.022, 0.019, 0.018])
    scores_of_many *= np.where(many, 1.0, 0.9)  # a loss is a little less sure than a right answer
    for _ in range(200):
        rows = rng.integers(len(many), size=1000)
        thresholds = by_layer(many[rows], scores_of_many[rows], 0.02)
        left, lost = lost_so_far(many, scores_of_many, thresholds)
        broken += bool((lost > 0.02 * left).any())
    assert broken <= 200 * 0.1 + 2 * np.sqrt(200 * 0.1 * 0.9)


def test_too_few_rows_never_exit_and_a_share_is_checked():
    losses, scores = drawn(np.random.default_rng(2), 60, [0, 0, 0, 0])
    assert not by_layer(losses, scores, 0.02).any()  # 30 rows, none of them lost, certify no 2%
    assert by_layer(losses, scores, 0.2).any()
    with pytest.raises(InputError, match=r"tolerated: found 0\.0, expected a number between 0 and 1"):
        by_layer(losses, scores, 0.0)
