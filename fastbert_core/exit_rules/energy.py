"""Energy of the logits, which a softmax forgets (COSEE, after Liu et al. 2020)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule


class Energy(ExitRule):
    """1 / (1 + Σ e^z): low where some logit is high. It needs a trace that keeps the logits' scale."""

    types = ("single-label",)
    unnormalised = True

    def score(self, p: np.ndarray) -> np.ndarray:
        """Of e^z, not of probabilities."""
        return 1.0 / (1.0 + p.astype(np.float64).sum(axis=-1))


RULES.register("energy", Energy())
