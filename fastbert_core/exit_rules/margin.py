"""One minus the margin between the two most probable classes (CALM)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule


class Margin(ExitRule):
    """1 − (p₁ − p₂)."""

    def score(self, p: np.ndarray) -> np.ndarray:
        """0 where a layer is sure, 1 where its first two classes are alike to it."""
        top = np.partition(p.astype(np.float64), -2, axis=-1)[..., -2:]
        return 1.0 - (top[..., 1] - top[..., 0])


RULES.register("margin", Margin())
