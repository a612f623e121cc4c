"""Patience: leave once several layers in a row have said the same (PABEE, Zhou et al. 2020)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule, agreements, run_lengths


class Patience(ExitRule):
    """1 / (1 + c), where c counts the consecutive layers that agreed with the one before.

    With patience P a sample leaves as soon as c reaches P: a threshold between 1 / (1 + P) and 1 / P.
    """

    looks_back = True

    def score(self, p: np.ndarray) -> np.ndarray:
        """1 where a layer disagrees with the one before, or is the first."""
        return 1.0 / (1 + run_lengths(agreements(p)))


RULES.register("patience", Patience())
