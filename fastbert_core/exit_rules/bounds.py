"""What a rule is held against: chance below, and above the oracles, which know what no rule can know."""

import numpy as np

from fastbert_core.exit_rules import BOUNDS


def random(correct: np.ndarray, same: np.ndarray) -> np.ndarray:
    """Uniform in [0, 1), the same every time; lots are drawn by a sample's place in the file.

    So it leaves at each layer with the same chance, the threshold.
    """
    return np.random.default_rng(0).random(correct.shape[::-1]).T


def first_right(correct: np.ndarray, same: np.ndarray) -> np.ndarray:
    """0 at layers that are right, else 1: a sample that some layer gets right leaves at the first that does.

    Of answers that are graded those are right that no layer betters, if there is anything right in them.
    """
    right = (correct == correct.max(axis=1, keepdims=True)) & (correct > 0)
    return (~right).astype(np.float64)


def first_agreeing(correct: np.ndarray, same: np.ndarray) -> np.ndarray:
    """0 at layers that say what the last one will, else 1: nothing is changed by leaving there."""
    return (~same).astype(np.float64)


BOUNDS.register("random", random)
BOUNDS.register("oracle-label", first_right)
BOUNDS.register("oracle-teacher", first_agreeing)
