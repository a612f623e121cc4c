"""Weighted confidence of the layers in a row that agree (BEEM, arXiv 2502.00745)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule, Fitted, agreements, check_labels

COST = 0.1  # weight of a layer for each layer of its depth: 0.1, 0.2, ... 1.2 in twelve layers


def _score(p: np.ndarray, weights: np.ndarray) -> np.ndarray:
    """1 / (1 + S), with S = w · max p, plus the S of the layer before where both say the same class."""
    confidence, same = weights * p.max(axis=-1).astype(np.float64), agreements(p)
    for layer in range(1, p.shape[1]):
        confidence[:, layer] += np.where(same[:, layer], confidence[:, layer - 1], 0.0)
    return 1.0 / (1.0 + confidence)


class BeemCost(ExitRule):
    """Weights that grow with the layer's cost. The paper leaves where S reaches α: the threshold 1 / (1 + α)."""

    looks_back = True

    def score(self, p: np.ndarray) -> np.ndarray:
        """The lower, the more layers in a row are sure of the class."""
        return _score(p, COST * np.arange(1, p.shape[1] + 1))


class BeemAccuracy(Fitted):
    """Weights that are the layers' accuracies on calibration rows, `by_layer`."""

    def fit(self, p: np.ndarray, labels: np.ndarray | None = None) -> "BeemAccuracy":
        """Accuracy of each layer."""
        right = p.argmax(axis=-1) == check_labels("beem-accuracy", labels)[:, None]
        return BeemAccuracy(right.mean(axis=0), p.shape[2])

    def score(self, p: np.ndarray) -> np.ndarray:
        """The lower, the more layers in a row are sure of the class."""
        return _score(p, self.known(p))


RULES.register("beem-cost", BeemCost())
RULES.register("beem-accuracy", BeemAccuracy())
