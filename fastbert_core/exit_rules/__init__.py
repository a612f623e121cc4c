"""Exit rules: when a sample leaves, and with which answer. One file a rule, one definition for traces and the engine.

A rule scores what a sample's exits have said so far; the sample leaves at the first layer whose score is below a
threshold, and at the last layer in any case. Column l of a score or an answer depends on columns 1 to l alone.
"""

from abc import ABC, abstractmethod
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.registry import Registry


class ExitRule(ABC):
    """A rule, and what most of them share. `p` holds class probabilities [samples, layers so far, classes], any float.

    looks_back: whether a layer's score or answer depends on layers before it, or on how many these are; if not, the
        engine keeps none of them
    unnormalised: whether `p` are e^z of the logits z in the place of probabilities
    needs_fit: whether it must be fitted before it can score
    types: the task types for which it has a meaning
    of_parts: of parts' scores [parts, layers], and where each sample's begin, int64 [samples], the samples' scores;
        None leaves it to the task type
    """

    types: tuple[str, ...] = ("single-label", "multi-label", "sequence-labelling")
    of_parts: Callable[[np.ndarray, np.ndarray], np.ndarray] | None = None
    looks_back = False
    unnormalised = False
    needs_fit = False

    def fit(self, p: np.ndarray, labels: np.ndarray | None = None) -> "ExitRule":
        """The rule, fitted on calibration rows, which chose nothing else; `labels` int64 [samples], None if unknown.

        Raises InputError where it cannot do without labels.
        """
        return self

    @abstractmethod
    def score(self, p: np.ndarray) -> np.ndarray:
        """Float64 [samples, layers so far] in [0, 1]: the lower, the sooner a sample leaves."""

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Int64 [samples, layers so far]: the class that is answered on leaving there, here the layer's own."""
        return p.argmax(axis=-1)


# What no engine can run, for curves alone: it asks for labels, for layers to come, or for a place in the file. Answers
# are each layer's own. Its scores, as a rule's of all layers, follow from how right each layer is, bool, or float in
# [0, 1], [samples, layers], and from whether it says what the last one will, bool.
Bound = Callable[[np.ndarray, np.ndarray], np.ndarray]
RULES: Registry[ExitRule] = Registry("exit rule", __name__)
BOUNDS: Registry[Bound] = Registry("bound", __name__)


def get_rule(rule: str | ExitRule) -> ExitRule:
    """A rule by its name, or as it is. Raises InputError for an unknown one, and one that has yet to be fitted."""
    found = RULES[rule] if isinstance(rule, str) else rule
    if found.needs_fit:
        name = rule if isinstance(rule, str) else type(rule).__name__
        raise InputError(f"exit rule {name}: found it unfitted, expected what its fit(probabilities, labels) gives")
    return found


@dataclass(frozen=True)
class Fitted(ExitRule):
    """A rule that knows something of each layer from calibration rows; without that it needs to be fitted.

    by_layer: float64 [layers, ...]
    classes: how many the rows had
    """

    by_layer: np.ndarray | None = None
    classes: int = 0

    looks_back = True

    @property
    def needs_fit(self) -> bool:
        """Whether nothing is known yet."""
        return self.by_layer is None

    def known(self, p: np.ndarray) -> np.ndarray:
        """`by_layer` of the layers so far. Raises InputError for more layers or other classes than it was fitted on."""
        layers, classes = p.shape[1:]
        if classes != self.classes or layers > len(self.by_layer):
            fitted = f"{len(self.by_layer)} layers of {self.classes}, on which it was fitted"
            raise InputError(f"exit rule: found {layers} layers of {classes} classes, expected {fitted}")
        return self.by_layer[:layers]


def exit_layers(scores: np.ndarray, threshold: float | np.ndarray) -> np.ndarray:
    """Number of executed layers of each sample, int64 [samples], from 1, by its `scores` [samples, layers].

    A sample leaves at the first layer whose score is strictly below `threshold`, one for all layers or one for each but
    the last, [layers - 1]; and at the last in any case.
    """
    scores = np.asarray(scores)
    stays = np.zeros(scores.shape, bool)  # nowhere at the last layer
    stays[:, :-1] = scores[:, :-1] >= threshold
    return 1 + stays.argmin(axis=1)


def at_exit(values: np.ndarray, exit_layer: np.ndarray) -> np.ndarray:
    """Of `values` [samples, layers, …], each sample's at the layer (from 1) where it leaves."""
    return values[np.arange(len(values)), exit_layer - 1]


def agreements(p: np.ndarray) -> np.ndarray:
    """Whether a layer says the same class as the one before, bool [samples, layers]; the first has none before it."""
    said = p.argmax(axis=-1)
    return np.concatenate([np.zeros((len(p), 1), bool), said[:, 1:] == said[:, :-1]], axis=1)


def run_lengths(same: np.ndarray) -> np.ndarray:
    """How many consecutive True end at each layer, int64 [samples, layers], of `same`, bool [samples, layers]."""
    position = np.arange(1, same.shape[1] + 1)
    last_break = np.maximum.accumulate(np.where(same, 0, position), axis=1)
    return position - last_break


def worst_of_last(scores: np.ndarray, count: int) -> np.ndarray:
    """The largest of the last `count` scores of [samples, layers]; 1 where there are fewer layers.

    It is below a threshold where so many layers in a row are: patience, as a score.
    """
    worst = scores.copy()
    for back in range(1, count):
        worst[:, back:] = np.maximum(worst[:, back:], scores[:, :-back])
    worst[:, : count - 1] = 1.0
    return worst


def check_labels(rule: str, labels: np.ndarray | None) -> np.ndarray:
    """`labels`. Raises InputError, naming `rule`, if there are none."""
    if labels is None:
        raise InputError(f"exit rule {rule}: found no labels, expected those of the calibration rows to fit it on")
    return labels
