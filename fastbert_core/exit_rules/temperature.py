"""Entropy, max-prob and margin, each layer at a temperature of its own (SWEET, Rotem et al. 2023; Guo et al. 2017)."""

from dataclasses import dataclass, field
from functools import lru_cache

import numpy as np
from scipy.optimize import minimize_scalar
from scipy.special import log_softmax

from fastbert_core.exit_rules import RULES, ExitRule, Fitted, check_labels
from fastbert_core.exit_rules.entropy import Entropy
from fastbert_core.exit_rules.margin import Margin
from fastbert_core.exit_rules.max_prob import MaxProb
from fastbert_core.uncertainty import LEAST

WARMEST = 20.0  # of the temperatures that are tried; the coldest is its inverse


def logits(p: np.ndarray, least: float = LEAST) -> np.ndarray:
    """Logits up to a constant, float64; a probability of 0 counts as `least`."""
    return np.log(np.where(p > 0, p, least).astype(np.float64))


def tempered(p: np.ndarray, temperature: float | np.ndarray) -> np.ndarray:
    """Probabilities [..., classes] as if the logits were divided by `temperature`, float64; the first stays the first.

    temperature: a number, or an array that broadcasts against `p`
    """
    return np.exp(log_softmax(logits(p, np.finfo(np.float32).tiny) / temperature, axis=-1))


def fitted_temperature(p: np.ndarray, labels: np.ndarray) -> float:
    """The temperature at which probabilities [samples, classes] fit the labels best, by their mean log-likelihood."""
    z = np.ascontiguousarray(logits(p).T)  # [classes, samples], along which numpy is many times faster
    z -= z.max(axis=0)
    mine = z[labels, np.arange(len(labels))]

    def loss(log_temperature: float) -> float:
        temperature = np.exp(log_temperature)
        return (np.log(np.exp(z / temperature).sum(axis=0)) - mine / temperature).mean()

    limit = np.log(WARMEST)
    return float(np.exp(minimize_scalar(loss, bounds=(-limit, limit), method="bounded").x))


@lru_cache(maxsize=4)  # several rules are fitted on the same rows, of up to a few seeds
def _of_layers(p: bytes, kind: str, shape: tuple[int, ...], labels: bytes, label_kind: str) -> tuple[float, ...]:
    """Each layer's temperature, of the arrays with such contents."""
    said, true = np.frombuffer(p, kind).reshape(shape), np.frombuffer(labels, label_kind)
    return tuple(fitted_temperature(said[:, layer], true) for layer in range(shape[1]))


@dataclass(frozen=True)
class Tempered(Fitted):
    """The score of another rule on tempered probabilities. `by_layer` holds the temperatures, float64 [layers]."""

    rule: ExitRule = field(default_factory=Entropy)

    def fit(self, p: np.ndarray, labels: np.ndarray | None = None) -> "Tempered":
        """Each layer's temperature by the likelihood of the labels."""
        labels = check_labels("with a temperature", labels)
        found = _of_layers(p.tobytes(), p.dtype.str, p.shape, labels.tobytes(), labels.dtype.str)
        return Tempered(np.array(found), p.shape[2], self.rule)

    def score(self, p: np.ndarray) -> np.ndarray:
        """What the other rule makes of the tempered probabilities."""
        return self.rule.score(tempered(p, self.known(p)[:, None]))


for name, rule in {"entropy": Entropy(), "max-prob": MaxProb(), "margin": Margin()}.items():
    RULES.register(f"{name}-tempered", Tempered(rule=rule))
