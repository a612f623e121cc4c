"""What a rule is held against: chance below, and above the oracles, which know what no rule can know."""

import numpy as np

from fastbert_core.exit_rules import BOUNDS


class Random:
    """A sample leaves at each layer with the same chance, the threshold; lots are drawn by its place in the file."""

    def score(self, correct: np.ndarray, same: np.ndarray) -> np.ndarray:
        """Uniform in [0, 1), the same every time."""
        return np.random.default_rng(0).random(correct.shape[::-1]).T


class FirstRight:
    """0 at layers that are right, else 1: a sample that some layer gets right leaves at the first that does.

    Of answers that are graded those are right that no layer betters, if there is anything right in them.
    """

    def score(self, correct: np.ndarray, same: np.ndarray) -> np.ndarray:
        """0 or 1, by the labels."""
        right = (correct == correct.max(axis=1, keepdims=True)) & (correct > 0)
        return (~right).astype(np.float64)


class FirstAgreeing:
    """0 at layers that say what the last one will, else 1: nothing is changed by leaving there."""

    def score(self, correct: np.ndarray, same: np.ndarray) -> np.ndarray:
        """0 or 1, by the last layer."""
        return (~same).astype(np.float64)


BOUNDS.register("random", Random())
BOUNDS.register("oracle-label", FirstRight())
BOUNDS.register("oracle-teacher", FirstAgreeing())
