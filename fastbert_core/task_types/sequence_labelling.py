"""Sequence labelling: a tag for each word of a sentence, said at its first token.

A part of a sample is one word. A rule's score of the sentence is that of its worst word, unless the rule says
otherwise: so the sentence leaves when its last word is sure enough (SENTEE, Li et al., ACL 2021). What counts as right
are entities, and words beyond the longest text that a model reads are answered O.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbert_core.entities import matched
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import ExitRule
from fastbert_core.task_types import TASK_TYPES, TaskType, check_unwritten, number_of

if TYPE_CHECKING:
    from torch import nn
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from fastbert_core.encoding import Encoded
    from fastbert_core.tasks import Task

OUTSIDE = "O"


class SequenceLabelling(TaskType):
    """Words and tags are separated by single spaces; the first tag of a task is O."""

    name = "sequence-labelling"
    every_class = False
    of_texts = False
    columns = ("tokens", "tags")
    of_words = True
    metrics = ("entity-f1", "accuracy")
    none = ()

    def named(self, value: str, task: "Task", place: str) -> tuple[int, ...]:
        """As in a file, but for a list that was written as a text."""
        check_unwritten(value, place)
        if "" in value.split(" "):
            raise InputError(f"{place}: found an empty tag, expected single spaces between tags alone")
        return self.label(value, task, place)

    def label(self, value: str, task: "Task", place: str) -> tuple[int, ...]:
        """The number of each word's tag."""
        if task.classes[0] != OUTSIDE:
            raise InputError(f"task {task.name}: found the first tag {task.classes[0]!r}, expected {OUTSIDE!r}")
        return tuple(number_of(tag, task.classes, place) for tag in value.split(" "))

    def cell(self, value: Any) -> str:
        """Tags separated by single spaces, or a list of them."""
        return " ".join(map(str, value)) if isinstance(value, list | tuple) else super().cell(value)

    def classes_of(self, labels: Sequence[str]) -> list[str]:
        """O, then the others by alphabet."""
        return [OUTSIDE, *sorted({tag for label in labels for tag in label.split(" ")} - {OUTSIDE})]

    def check_text(self, text: str, label: Any, place: str) -> None:
        """As many tags as words, and none of these empty."""
        words = text.split(" ")
        if "" in words:
            raise InputError(f"{place}: found an empty word, expected single spaces between words alone")
        if len(words) != len(label):
            raise InputError(f"{place}: found {len(label)} tags, expected {len(words)}, one for each word")

    def array(self, labels: Sequence, classes: int) -> np.ndarray:
        """Tuples of tags, object [rows]."""
        rows = np.empty(len(labels), object)
        rows[:] = [tuple(tags) for tags in labels]
        return rows

    def known(self, labels: np.ndarray) -> np.ndarray:
        """Rows without tags have an empty tuple."""
        return np.array([len(tags) > 0 for tags in labels], bool)

    def known_units(self, labels: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Sentences whose first word has a tag."""
        return labels[words.cumsum() - words] >= 0

    def of_units(self, labels: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """The words' tags, one sentence's after the other's, -1 where a sentence has none."""
        tags = [list(tags) or [-1] * int(count) for tags, count in zip(labels, words, strict=True)]
        return np.array([tag for of_sentence in tags for tag in of_sentence], np.int64)

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Sentences with an entity, without one, and without tags."""
        return np.array([max(tags, default=-1) for tags in labels]).clip(-1, 1)

    def encode(
        self, tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], pairs: Sequence[str] | None, max_tokens: int
    ) -> "Encoded":
        """Sentences, whose words are separated by spaces."""
        from fastbert_core.words import encode_words

        return encode_words(tokenizer, texts, max_tokens)

    def head(self, hidden: int, config: "PreTrainedConfig") -> "nn.Module":
        """A linear classifier of every token: the paper's reads [CLS] alone, and cannot give tags."""
        from fastbert_core.heads import TokenClassifier

        return TokenClassifier(hidden, config.num_labels, config.classifier_dropout)

    def quality(
        self, answers: np.ndarray, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()
    ) -> np.ndarray:
        """F1 of each sentence's entities, 1 where there are none and none are answered."""
        both, answered, there = np.moveaxis(matched(answers, labels, words, classes), -1, 0)
        return np.where(answered + there > 0, 2 * both / np.maximum(answered + there, 1), 1.0)

    def same(self, answers: np.ndarray, others: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Whether all words have the same tag."""
        return np.logical_and.reduceat(answers == others, words.cumsum() - words, axis=0)

    def near_tie(self, p: np.ndarray, words: np.ndarray | None, tolerance: float) -> np.ndarray:
        """Whether a word's tag hangs on so little."""
        return np.logical_or.reduceat(super().near_tie(p, words, tolerance), words.cumsum() - words, axis=0)

    def constant(self, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()) -> float:
        """Of O for every word."""
        return float(self.quality(np.zeros((len(labels), 1), np.int64), labels, words, classes).mean())

    def score(self, rule: ExitRule, p: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """The worst of a sentence's words, or what the rule makes of their scores."""
        scores, begins = rule.score(p), words.cumsum() - words
        if rule.of_parts is not None:
            return rule.of_parts(scores, begins)
        return np.maximum.reduceat(scores, begins, axis=0)

    def told(self, answer: Any, classes: Sequence[str], scores: Sequence[float] | None) -> tuple[list[str], list[int]]:
        """The tag of each word."""
        return [classes[tag] for tag in answer], answer


TASK_TYPES.register("sequence-labelling", SequenceLabelling())
