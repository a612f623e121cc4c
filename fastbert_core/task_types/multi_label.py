"""Multi-label classification: any number of labels a text, each a yes or no of its own.

A part of a sample is one label, a choice between two classes. A rule's score of the sample is the mean over its labels,
unless the rule says otherwise: so entropy is the mean binary entropy.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import ExitRule
from fastbert_core.task_types import (
    LABEL_SHARES,
    LISTS,
    TASK_TYPES,
    Require,
    TaskType,
    check_unwritten,
    number_of,
    whole,
)

if TYPE_CHECKING:
    from torch import Tensor

    from fastbert_core.losses import Loss, Targets
    from fastbert_core.tasks import Task


END = "\0"  # which no text file holds
YES_OR_NO = {"0", "1", "0.0", "1.0", "False", "True"}  # of labels in order, where their names are wanted


class MultiLabel(TaskType):
    """Labels of a row are 0 or 1 for each class; a model says the probability of each, and answers those above 0.5."""

    name = "multi-label"
    problem_type = "multi_label_classification"
    every_class = False
    sums_to_one = False
    kept_to = 1e-3  # many a text, none of which is what the others leave
    classifier_init = LABEL_SHARES
    metrics = ("micro-f1", "macro-f1", "accuracy")
    none = None

    def label(self, value: str, task: "Task", place: str) -> tuple[int, ...]:
        """Numbers of the labels that hold, separated by commas; none where the cell is empty."""
        found = [whole(part) for part in value.split(",")] if value else []
        known = all(number is not None and 0 <= number < len(task.classes) for number in found)
        if not known or len(set(found)) < len(found):
            expected = f"different integers from 0 to {len(task.classes) - 1}, separated by commas"
            raise InputError(f"{place}: found the labels {value[:40]!r}, expected {expected}")
        return tuple(found)

    def array(self, labels: Sequence, classes: int) -> np.ndarray:
        """Int64 [rows, classes], 1 where a label holds."""
        found = np.zeros((len(labels), classes), np.int64)
        for row, numbers in enumerate(labels):
            if numbers is self.none:
                found[row] = -1
            else:
                found[row, list(numbers)] = 1
        return found

    def cell(self, value: Any) -> str:
        """Names separated by commas; of a list, whose names may hold commas, each ends with END."""
        return "".join(f"{name}{END}" for name in value) if isinstance(value, LISTS) else super().cell(value)

    def classes_of(self, labels: Sequence[str]) -> list[str]:
        """By alphabet."""
        return sorted({name for label in labels for name in _names(label)})

    def named(self, value: str, task: "Task", place: str) -> tuple[int, ...]:
        """The numbers of the names that hold."""
        check_unwritten(value, place)
        names = _names(value)
        if len(names) > len(set(names)) and YES_OR_NO.issuperset(names):
            expected = "expected the names of those that hold"
            raise InputError(f"{place}: found a 0 or 1 for each label, {expected}")
        return tuple(sorted({number_of(name, task.classes, place) for name in names}))

    def known(self, labels: np.ndarray) -> np.ndarray:
        """Rows without labels have -1 for each."""
        return labels.min(axis=1, initial=0) >= 0

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """By the first label that holds."""
        return np.where(labels.min(axis=1) < 0, -1, labels.argmax(axis=1))

    def activate(self, logits: "Tensor") -> "Tensor":
        """Each label's probability."""
        return logits.float().sigmoid()

    def logits(self, p: "Tensor") -> "Tensor":
        """The inverse of the sigmoid."""
        import torch

        return p.logit(eps=float(torch.finfo(torch.float32).eps))

    @property
    def losses(self) -> "Mapping[str, Loss]":
        """Those of single labels, of each label as a choice of two, summed over the labels."""
        return {name: _summed(loss) for name, loss in super().losses.items()}

    def check(self, p: np.ndarray, labels: np.ndarray, require: Require) -> None:
        """Each value is a probability of its own."""
        require(p.shape[2] > 1, f"{p.shape[2]} labels", "at least two")
        require(bool(((p >= 0) & (p <= 1)).all()), "probabilities outside of it", "values in [0, 1]")
        lowest, highest = labels.min(), labels.max()
        require(lowest >= 0 and highest <= 1, f"labels from {lowest} to {highest}", "0 or 1")

    def label_shape(self, p: np.ndarray) -> tuple[int, ...]:
        """A label for each class."""
        return p.shape[0], p.shape[2]

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Int64 [samples, layers, classes], 1 where a label is more likely than not."""
        return (p > 0.5).astype(np.int64)

    def quality(
        self, answers: np.ndarray, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()
    ) -> np.ndarray:
        """F1 of each sample's labels, 1 where none hold and none are answered."""
        labels = labels[:, None]
        either = answers.sum(axis=-1) + labels.sum(axis=-1)
        return np.where(either > 0, 2 * (answers * labels).sum(axis=-1) / np.maximum(either, 1), 1.0)

    def same(self, answers: np.ndarray, others: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Whether all labels are the same."""
        return (answers == others).all(axis=-1)

    def near_tie(self, p: np.ndarray, words: np.ndarray | None, tolerance: float) -> np.ndarray:
        """Whether a label is as likely as not."""
        return (np.abs(p.astype(np.float64) - 0.5) <= tolerance).any(axis=-1)

    def constant(self, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()) -> float:
        """Of the commonest k labels for all, for the best k."""
        common = np.argsort(-labels.sum(axis=0), kind="stable")
        best = 0.0
        for k in range(len(common) + 1):
            answer = np.zeros((1, 1, labels.shape[1]), np.int64)
            answer[..., common[:k]] = 1
            best = max(best, float(self.quality(answer, labels, words).mean()))
        return best

    def recalled(self, answers: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Labels of any text, and those that are answered where they hold."""
        return labels.any(axis=0), (labels & answers).any(axis=0)

    def parts(self, p: np.ndarray) -> np.ndarray:
        """Of each label whether not, and whether it holds, [samples · classes, layers, 2]."""
        held = p.swapaxes(1, 2).reshape(-1, p.shape[1])
        return np.stack([1 - held, held], axis=-1)

    def score(self, rule: ExitRule, p: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """The mean over a sample's labels, or what the rule makes of their scores."""
        scores, classes = rule.score(self.parts(p)), p.shape[2]
        if rule.of_parts is not None:
            return rule.of_parts(scores, classes * np.arange(len(p)))
        return scores.reshape(len(p), classes, -1).mean(axis=1)

    def answers(self, rule: ExitRule, p: np.ndarray) -> np.ndarray:
        """What the rule answers of each label."""
        return rule.answer(self.parts(p)).reshape(len(p), p.shape[2], -1).swapaxes(1, 2)

    def fit(self, rule: ExitRule, p: np.ndarray, labels: np.ndarray | None) -> ExitRule:
        """On all labels of all rows together."""
        return rule.fit(self.parts(p), None if labels is None else labels.reshape(-1))

    def told(self, answer: Any, classes: Sequence[str], scores: Sequence[float] | None) -> tuple[list[str], list[int]]:
        """The labels that hold."""
        numbers = [number for number, holds in enumerate(answer) if holds]
        return [classes[number] for number in numbers], numbers


def _names(label: str) -> list[str]:
    names = label.split(END if END in label else ",")
    return list(filter(None, map(str.strip, names)))


def _summed(loss: "Loss") -> Callable[["Tensor", "Targets"], "Tensor"]:
    """`loss` of each label as a choice of two, the mean over samples of the sum over labels."""

    def of_labels(logits: "Tensor", targets: "Targets") -> "Tensor":
        import torch

        classes = logits.shape[2]
        held = logits.float().transpose(1, 2).flatten(0, 1)  # [samples · classes, exits]
        pairs = torch.stack([torch.zeros_like(held), held], dim=-1)
        return classes * loss(pairs, targets._replace(labels=targets.labels.flatten().long()))

    return of_labels


TASK_TYPES.register("multi-label", MultiLabel())
