"""What a rule is held against: chance below, and above the oracles, which know what no rule can know."""

import numpy as np

from fastbert_core.exit_rules import BOUNDS


class Random:
    """A sample leaves at each layer with the same chance, the threshold; lots are drawn by its place in the file."""

    def score(self, p: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """Uniform in [0, 1), the same every time."""
        return np.random.default_rng(0).random((p.shape[1], len(p))).T

    def answer(self, p: np.ndarray) -> np.ndarray:
        """The layer's own."""
        return p.argmax(axis=-1)


class FirstRight(Random):
    """0 at layers that are right, else 1: a sample that some layer gets right leaves at the first that does."""

    def score(self, p: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """0 or 1, by the labels."""
        return (p.argmax(axis=-1) != labels[:, None]).astype(np.float64)


class FirstAgreeing(Random):
    """0 at layers that say what the last one will, else 1: nothing is changed by leaving there."""

    def score(self, p: np.ndarray, labels: np.ndarray) -> np.ndarray:
        """0 or 1, by the last layer."""
        return (p.argmax(axis=-1) != p[:, -1:].argmax(axis=-1)).astype(np.float64)


BOUNDS.register("random", Random())
BOUNDS.register("oracle-label", FirstRight())
BOUNDS.register("oracle-teacher", FirstAgreeing())
