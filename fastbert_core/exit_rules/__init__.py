"""Exit rules: when a sample leaves, and with which answer. One file a rule, one definition for traces and the engine.

A rule scores what a sample's exits have said so far; the sample leaves at the first layer whose score is below a
threshold, and at the last layer in any case. Column l of a score or an answer depends on columns 1 to l alone.
"""

from typing import Protocol

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.registry import Registry


class ExitRule(Protocol):
    """A rule. `p` holds class probabilities [samples, layers so far, classes], in any float type.

    looks_back: whether a layer's score or answer depends on layers before it; if not, the engine keeps none of them
    """

    looks_back: bool

    def score(self, p: np.ndarray) -> np.ndarray:
        """Float64 [samples, layers so far] in [0, 1]: the lower, the sooner a sample leaves."""

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Int64 [samples, layers so far]: the class that is answered on leaving there."""


class OwnAnswer:
    """The answer of most rules: the most probable class of the layer at which the sample leaves."""

    looks_back = False

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Most probable class of each layer."""
        return p.argmax(axis=-1)


RULES: Registry[ExitRule] = Registry("exit rule", __name__)


def exit_layers(scores: np.ndarray, threshold: float) -> np.ndarray:
    """Number of executed layers of each sample, int64 [samples], from 1, by its `scores` [samples, layers].

    A sample leaves at the first layer whose score is strictly below `threshold`, and at the last in any case.
    """
    stays = np.asarray(scores)[:, :-1] >= threshold  # [samples, layers - 1]
    return 1 + np.logical_and.accumulate(stays, axis=1).sum(axis=1)


def run_lengths(same: np.ndarray) -> np.ndarray:
    """How many consecutive True end at each layer, int64 [samples, layers], of `same`, bool [samples, layers]."""
    position = np.arange(1, same.shape[1] + 1)
    last_break = np.maximum.accumulate(np.where(same, 0, position), axis=1)
    return position - last_break


def check_threshold(threshold: float, low: float = 0.0, high: float = 1.0) -> float:
    """`threshold` as a float. Raises InputError unless it lies in [low, high]."""
    try:
        value = float(threshold)
    except (TypeError, ValueError):
        value = float("nan")
    if not low <= value <= high:
        raise InputError(f"threshold: found {threshold!r}, expected a number in [{low:g}, {high:g}]")
    return value
