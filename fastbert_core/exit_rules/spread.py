"""Rules of a regression: leave once the layers' scores have settled (PABEE, Zhou et al. 2020, for the first)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule, worst_of_last


class Settled(ExitRule):
    """What rules of scores share. `p` holds one output, [samples, layers so far, 1], in units of the task's range."""

    types = ("regression",)
    looks_back = True


class Change(Settled):
    """The largest of the last `patience` changes |s_l − s_(l−1)|: with threshold τ, so many in a row are below τ."""

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def score(self, p: np.ndarray) -> np.ndarray:
        """1 at the first layers, before which nothing can have changed so often; no more than 1 anywhere."""
        said = p[..., 0].astype(np.float64)
        changes = np.concatenate([np.ones((len(said), 1)), np.abs(np.diff(said, axis=1))], axis=1)
        return np.minimum(worst_of_last(changes, self.patience), 1.0)


class Spread(Settled):
    """The standard deviation of all layers' scores so far."""

    def score(self, p: np.ndarray) -> np.ndarray:
        """1 at the first layer; no more than 1 anywhere."""
        said = p[..., 0].astype(np.float64)
        scores = np.ones(said.shape)
        for layer in range(1, said.shape[1]):
            scores[:, layer] = said[:, : layer + 1].std(axis=1)
        return np.minimum(scores, 1.0)


for patience in (1, 2, 3):
    RULES.register(f"change-{patience}", Change(patience))
RULES.register("spread", Spread())
