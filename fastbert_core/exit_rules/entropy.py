"""Normalised entropy: FastBERT's uncertainty, whose threshold is the speed (paper, equation 7)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule
from fastbert_core.uncertainty import uncertainty


class Entropy(ExitRule):
    """H(p) / log K. DeeBERT, BERxiT and ElasticBERT use the same without the division."""

    def score(self, p: np.ndarray) -> np.ndarray:
        """0 where a layer is sure, 1 where all classes are alike to it."""
        return uncertainty(p)


RULES.register("entropy", Entropy())
