"""A learnt gate: a logistic regression for each layer says how likely it agrees with the last (CATs, Schuster 2021).

Its target is the last layer's answer, so that it is fitted on texts without labels.
"""

import numpy as np

from fastbert_core.exit_rules import RULES, Fitted, agreements, run_lengths
from fastbert_core.exit_rules.f_pabee import divergences
from fastbert_core.uncertainty import LEAST, uncertainty


def features(p: np.ndarray) -> np.ndarray:
    """What the gate sees of each layer, float64 [samples, layers, 6].

    Logit of the largest probability, margin, uncertainty, length of the run of agreements, the logit of the layer
    before, and the divergence from that layer; the last three are constant at the first layer.
    """
    wide = p.astype(np.float64)
    second, largest = np.moveaxis(np.partition(wide, -2, axis=-1)[..., -2:], -1, 0)
    # The others' sum is exact where 1 − p has lost its digits.
    others = wide.sum(axis=-1) - largest
    logit = np.log(largest) - np.log(np.where(others > 0, others, LEAST))
    before = np.concatenate([np.zeros((len(p), 1)), logit[:, :-1]], axis=1)
    run = run_lengths(agreements(p)).astype(np.float64)
    return np.stack([logit, largest - second, uncertainty(p), run, before, divergences(p)], axis=-1)


class Gate(Fitted):
    """1 − the chance that the layer's class is the last one's. `by_layer`: weights of the features, then a constant."""

    def fit(self, p: np.ndarray, labels: np.ndarray | None = None) -> "Gate":
        """A logistic regression for each layer; `labels` are not looked at."""
        agrees = p.argmax(axis=-1) == p[:, -1:].argmax(axis=-1)
        weights = [_logistic(x, y) for x, y in zip(features(p).swapaxes(0, 1), agrees.T, strict=True)]
        return Gate(np.stack(weights), p.shape[2])

    def score(self, p: np.ndarray) -> np.ndarray:
        """In (0, 1), whatever the layer; the last one, which agrees with itself, is not asked."""
        weights = self.known(p)
        logit = (features(p) * weights[:, :-1]).sum(axis=-1) + weights[:, -1]
        return 0.5 - 0.5 * np.tanh(logit / 2)


def _logistic(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Weights of the features [samples, features] and the constant; where all rows are alike, a smoothed constant.

    Of standardised features, half the sum of the weights' squares beside the log-loss's sum, to the minimum: stopped
    before it, as is usual, weights depend on the way there, and where layers nearly always agree they are far from it.
    """
    from sklearn.linear_model import LogisticRegression  # a second to import, which predicting need not wait for

    hits = y.sum()
    if hits in (0, len(y)):
        return np.append(np.zeros(x.shape[1]), np.log((hits + 1) / (len(y) - hits + 1)))
    middle, spread = x.mean(axis=0), x.std(axis=0)
    spread[spread == 0] = 1.0
    fitted = LogisticRegression(solver="newton-cholesky", tol=1e-10).fit((x - middle) / spread, y)
    weights = fitted.coef_[0] / spread
    return np.append(weights, fitted.intercept_[0] - weights @ middle)


RULES.register("gate", Gate())
