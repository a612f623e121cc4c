"""Running ensembles: the entropy, and the answer, of the mean of all layers so far (ZTW, Wołczyk et al. 2021)."""

import numpy as np
from scipy.special import softmax

from fastbert_core.exit_rules import RULES, ExitRule
from fastbert_core.exit_rules.temperature import logits
from fastbert_core.uncertainty import uncertainty


class MeanEnsemble(ExitRule):
    """The arithmetic mean of the probabilities."""

    looks_back = True

    def mean(self, p: np.ndarray) -> np.ndarray:
        """The ensemble of layers 1 to l at each layer l, float64 [samples, layers, classes]."""
        return p.cumsum(axis=1, dtype=np.float64) / np.arange(1, p.shape[1] + 1)[:, None]

    def score(self, p: np.ndarray) -> np.ndarray:
        """Uncertainty of the ensemble."""
        return uncertainty(self.mean(p))

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Most probable class of the ensemble."""
        return self.mean(p).argmax(axis=-1)


class GeometricEnsemble(MeanEnsemble):
    """The geometric mean, normalised: the softmax of the mean logits. A p of less than 1e-6 counts as that."""

    def mean(self, p: np.ndarray) -> np.ndarray:
        """The ensemble of layers 1 to l at each layer l, float64 [samples, layers, classes]."""
        return softmax(logits(p).cumsum(axis=1) / np.arange(1, p.shape[1] + 1)[:, None], axis=-1)


RULES.register("mean-ensemble", MeanEnsemble())
RULES.register("geometric-ensemble", GeometricEnsemble())
