"""Regression: a score a text. Within the suite it lies in [0, 1], the least and the largest score of the task.

There are no classes to be unsure among: rules look at how the layers' scores change.
"""

import math
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import ExitRule
from fastbert_core.task_types import TASK_TYPES, Require, TaskType

if TYPE_CHECKING:
    from torch import Tensor

    from fastbert_core.losses import Loss, Targets
    from fastbert_core.tasks import Task

NEAR = 0.05  # of the range: scores that are no farther apart are the same answer


class Regression(TaskType):
    """A label is a number; a model's one output is what it says, unbounded."""

    name = "regression"
    problem_type = "regression"
    every_class = False
    of_texts = False
    sums_to_one = False
    metrics = ("pearson", "spearman")
    base = "spread"
    label_dtype = np.float64
    none = math.nan

    def named(self, value: str, task: "Task", place: str) -> float:
        """As in a file; but where it is a table, the range may have been taken from the training rows."""
        try:
            return self.label(value, task, place)
        except InputError as error:
            raise InputError(f"{error}; `fastbert train --scores LOW HIGH` learns another range") from None

    def label(self, value: str, task: "Task", place: str) -> float:
        """The score, divided by the task's range."""
        low, high = task.scores
        try:
            number = float(value)
        except ValueError:
            number = math.nan
        if not low <= number <= high:
            raise InputError(f"{place}: found the score {value[:40]!r}, expected a number from {low:g} to {high:g}")
        return (number - low) / (high - low)

    def array(self, labels: Sequence, classes: int) -> np.ndarray:
        """Float64 [rows]."""
        return np.array(labels, np.float64)

    def known(self, labels: np.ndarray) -> np.ndarray:
        """Rows without a score have NaN."""
        return np.isfinite(labels)

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """By fifths of the range; its end is a stratum of its own."""
        return np.where(np.isfinite(labels), np.floor(5 * np.nan_to_num(labels)), -1).astype(np.int64)

    def activate(self, logits: "Tensor") -> "Tensor":
        """The output itself."""
        return logits.float()

    def logits(self, p: "Tensor") -> "Tensor":
        """What was said itself."""
        return p

    @property
    def losses(self) -> "Mapping[str, Loss]":
        """Those of classification with squared errors in the place of cross entropy, and of divergence."""
        return LOSSES

    def check(self, p: np.ndarray, labels: np.ndarray, require: Require) -> None:
        """One output; what it says may be any number."""
        require(p.shape[2] == 1, f"{p.shape[2]} outputs", "one")
        within = bool(((labels >= 0) & (labels <= 1)).all())
        require(within, f"labels from {labels.min():g} to {labels.max():g}", "scores from 0 to 1")

    def answer(self, p: np.ndarray) -> np.ndarray:
        """Float64 [samples, layers], what each layer says."""
        return p[..., 0].astype(np.float64)

    def quality(
        self, answers: np.ndarray, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()
    ) -> np.ndarray:
        """1 − the distance from the label, as a share of the range; 0 from a whole range on."""
        return 1 - np.minimum(np.abs(answers - labels[:, None]), 1.0)

    def same(self, answers: np.ndarray, others: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Whether scores are within NEAR of each other."""
        return np.abs(answers - others) <= NEAR

    def near_tie(self, p: np.ndarray, words: np.ndarray | None, tolerance: float) -> np.ndarray:
        """Scores have no ties."""
        return np.zeros(p.shape[:2], bool)

    def answers(self, rule: ExitRule, p: np.ndarray) -> np.ndarray:
        """Each layer's own, whatever the rule."""
        return self.answer(p)

    def constant(self, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()) -> float:
        """Of the median score."""
        return float(self.quality(np.full((len(labels), 1), np.median(labels)), labels, words).mean())

    def recalled(self, answers: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """There are no classes."""
        return np.zeros(0, bool), np.zeros(0, bool)

    def told(self, answer: Any, classes: Sequence[str], scores: Sequence[float] | None) -> tuple[float, float]:
        """The score in the task's range; and as it is within the suite."""
        low, high = scores
        return low + (high - low) * answer, answer


def _squared(logits: "Tensor", targets: "Targets") -> "Tensor":
    """Squared errors, mean over the batch, by exit."""
    return (logits[..., 0].float() - targets.labels[:, None].float()).square().mean(dim=0)


def _apart(logits: "Tensor", targets: "Targets") -> "Tensor":
    """Squared distances of the students from the teacher, which they do not train: mean over batch, sum over exits."""
    said = logits[..., 0].float()
    return (said[:, :-1] - said[:, -1:].detach()).square().mean(dim=0).sum()


def _linear(logits: "Tensor", targets: "Targets") -> "Tensor":
    each = _squared(logits, targets)
    weights = each.new_tensor(range(1, len(each) + 1))
    return (weights * each).sum() / weights.sum()


def _alternating(logits: "Tensor", targets: "Targets") -> "Tensor":
    last_only = targets.step is not None and targets.step % 2 == 0
    return _squared(logits[:, -1:] if last_only else logits, targets).sum()


LOSSES: "Mapping[str, Loss]" = {
    "cross-entropy": lambda logits, targets: _squared(logits, targets).sum(),
    "students-cross-entropy": lambda logits, targets: _squared(logits[:, :-1], targets).sum(),
    "linear-cross-entropy": _linear,
    "alternating": _alternating,
    "joint-self-distillation": lambda logits, targets: _squared(logits, targets).sum() + _apart(logits, targets),
    "kl": _apart,
    "reverse-kl": _apart,
}
TASK_TYPES.register("regression", Regression())
