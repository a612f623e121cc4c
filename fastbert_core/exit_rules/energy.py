"""Energy of the logits, which a softmax forgets (COSEE, after Liu et al. 2020)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule


class Energy(ExitRule):
    """1 / (1 + (Σ e^{z/T})^T): low where some logit is high. It needs a trace that keeps the logits' scale."""

    types = ("single-label",)
    unnormalised = True

    def __init__(self, temperature: float = 1.0) -> None:
        self.temperature = temperature

    def score(self, p: np.ndarray) -> np.ndarray:
        """Of e^z, not of probabilities."""
        t = self.temperature
        return 1.0 / (1.0 + (p.astype(np.float64) ** (1 / t)).sum(axis=-1) ** t)


RULES.register("energy", Energy())
