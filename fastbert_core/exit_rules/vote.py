"""Votes: leave once so many layers have named one class, in a row or not (Sun et al. 2021; EENet 2023)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule


class Vote(ExitRule):
    """1 / (1 + v), where v counts the layers so far that named the leading class; that class is the answer."""

    looks_back = True

    def score(self, p: np.ndarray) -> np.ndarray:
        """1/2 at the first layer, and lower with every further vote for the leader."""
        return 1.0 / (1 + _votes(p).max(axis=-1))

    def answer(self, p: np.ndarray) -> np.ndarray:
        """The class of most votes; of several, the one that the layer itself finds most probable."""
        return (_votes(p) + p / 2).argmax(axis=-1)


def _votes(p: np.ndarray) -> np.ndarray:
    """How many layers so far have named each class, int64 [samples, layers, classes]."""
    return (p.argmax(axis=-1)[..., None] == np.arange(p.shape[-1])).cumsum(axis=1)


RULES.register("vote", Vote())
