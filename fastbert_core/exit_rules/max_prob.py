"""One minus the largest probability (Schwartz et al. 2020; SWEET; CascadeBERT)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule


class MaxProb(ExitRule):
    """1 − max p."""

    def score(self, p: np.ndarray) -> np.ndarray:
        """0 where a layer is sure, 1 − 1/K where all classes are alike to it."""
        return 1.0 - p.max(axis=-1).astype(np.float64)


RULES.register("max-prob", MaxProb())
