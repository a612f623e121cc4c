"""Flexible patience: several layers in a row say nearly what the one before said (F-PABEE, Gao et al. 2023)."""

import numpy as np

from fastbert_core.exit_rules import RULES, ExitRule, worst_of_last
from fastbert_core.uncertainty import uncertainty


def _mixtures(p: np.ndarray) -> np.ndarray:
    """The mean of each layer from the second on and the one before it, float64 [samples, layers - 1, classes]."""
    p = p.astype(np.float64)
    return (p[:, 1:] + p[:, :-1]) / 2


def divergences(p: np.ndarray) -> np.ndarray:
    """Jensen-Shannon divergence of each layer to the one before, in bits, float64 [samples, layers]; 1 at the first."""
    sure = uncertainty(p)
    nats = (uncertainty(_mixtures(p)) - (sure[:, 1:] + sure[:, :-1]) / 2) * np.log(p.shape[-1])
    return _after_the_first(np.clip(nats / np.log(2), 0.0, 1.0))


def _after_the_first(scores: np.ndarray) -> np.ndarray:
    return np.concatenate([np.ones((len(scores), 1)), scores], axis=1)


class FPabee(ExitRule):
    """The largest of the last `patience` divergences: with the threshold τ, so many in a row are below τ."""

    looks_back = True

    def __init__(self, patience: int) -> None:
        self.patience = patience

    def dissimilarity(self, p: np.ndarray) -> np.ndarray:
        """How much each layer differs from the one before."""
        return divergences(p)

    def score(self, p: np.ndarray) -> np.ndarray:
        """1 at the first layers, before which there are too few."""
        return worst_of_last(self.dissimilarity(p), self.patience)


class AsPublished(FPabee):
    """What the published code computes in the divergence's place: the uncertainty of the two layers' mixture."""

    def dissimilarity(self, p: np.ndarray) -> np.ndarray:
        """H((p + q) / 2) / log K, which is high where both layers are unsure alike."""
        return _after_the_first(uncertainty(_mixtures(p)))


for patience in (1, 2):
    RULES.register(f"f-pabee-{patience}", FPabee(patience))
    RULES.register(f"f-pabee-{patience}-published", AsPublished(patience))
