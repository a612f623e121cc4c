"""The label-wise rule: leave once every label is sure, of texts with many labels."""

import numpy as np

from fastbert_core.exit_rules import RULES
from fastbert_core.exit_rules.entropy import Entropy


class WorstLabel(Entropy):
    """The largest binary entropy of a sample's labels, where `entropy` takes their mean."""

    types = ("multi-label",)

    def of_parts(self, scores: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Of the labels' [labels, layers], each sample's largest."""
        return np.maximum.reduceat(scores, begins, axis=0)


RULES.register("worst-label", WorstLabel())
