"""Patient and confident: several layers in a row are sure (PCEE-BERT, Zhang et al. 2022)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule, worst_of_last
from fastbert_core.uncertainty import uncertainty


class Pcee(ExitRule):
    """The largest uncertainty of the last `patience` layers: with the threshold τ, so many in a row are below τ.

    over: whose mean answers: of the layer's `own`, of the `run` of the last `patience` layers, or of `all` so far
    """

    looks_back = True

    def __init__(self, patience: int, over: str = "own") -> None:
        self.patience, self.over = patience, over

    def score(self, p: np.ndarray) -> np.ndarray:
        """1 at the first layers, which cannot have such a run behind them."""
        return worst_of_last(uncertainty(p), self.patience)

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Most probable class of the mean."""
        if self.over == "own":
            return p.argmax(axis=-1)
        total = p.cumsum(axis=1, dtype=np.float64)
        if self.over == "run":
            total[:, self.patience :] -= total[:, : -self.patience].copy()
        return total.argmax(axis=-1)


for patience in (2, 3):
    RULES.register(f"pcee-{patience}", Pcee(patience))
for over in ("run", "all"):
    RULES.register(f"pcee-2-{over}", Pcee(2, over))
