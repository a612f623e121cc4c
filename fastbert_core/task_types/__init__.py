"""Task types, one file each: how labels read, what is learnt and answered, what is averaged over samples, and how a
sample is scored under an exit rule.

A sample consists of parts, each of which is a choice among classes: a text with one label is one part, one with many
labels has a part for each of them, a sentence one for each word. So exit rules are written for one choice, and a type
says how the scores of the parts become the sample's. What is said of a sample's parts is kept side by side:

p: what exits say, float [units, layers, outputs]; a unit is a sample, or a word where samples are sentences
words: int [samples], how many words each sample has, None where samples are not divided into words
"""

import re
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import RULES, ExitRule, at_exit, get_rule
from fastbert_core.registry import Registry

if TYPE_CHECKING:
    from torch import Tensor, nn
    from transformers import PreTrainedConfig, PreTrainedTokenizerBase

    from fastbert_core.encoding import Encoded
    from fastbert_core.losses import Loss
    from fastbert_core.tasks import Task

# From a trace's check: whether it holds, what was found, what was expected.
Require = Callable[[bool, str, str], None]
LABEL_SHARES = "label-shares"  # a `classifier_init`: classifiers of many labels begin at how often each holds
INTEGER = 9  # digits of a label, at most
WHOLE = re.compile(r"[+-]?\d{1,15}(\.0*)?", re.ASCII)  # an integer, or a float that is one
UNLABELLED = -1
LISTS = list | tuple | set | frozenset  # what holds several labels of a row
WRITTEN_LIST = re.compile(r"[\[{](['\"\d].*)?[\]}]|\(['\"].*\)", re.DOTALL)  # or a set, a tuple, an object
# float32 softmax rows sum to 1 within a few units in the last place for each class.
SUM_TOLERANCE = 1e-4


class TaskType:
    """A type, and what it shares with single-label classification, which overrides nothing.

    columns: those of a file that hold text and label; `text_b` comes beside the first in tasks of pairs
    of_words: whether each word of a text has a label of its own
    sums_to_one: whether the outputs of a unit are probabilities of classes that exclude each other
    every_class: whether nothing can be learnt unless each class occurs; a label or a tag that does not may be rare
    of_texts: whether classes are of a text as a whole, so that logistic regression on its vector can tell them
    metrics: what it may be judged by, names of fastbert_core.task_metrics; the first where a task names none
    kept_to: how far a trace's file may move a probability or uncertainty; within it engine and trace agree
    classifier_init: where the classifiers of a model of one's own begin, as FastBertConfig's
    base: the exit rule that others are compared with; label_dtype: of labels in a trace
    problem_type: Hugging Face's word for the type, by which its `pipeline` makes answers of logits; None where it asks
        their number
    """

    name = "single-label"
    columns = ("text_a", "label")
    of_words = False
    sums_to_one = True
    every_class = True
    of_texts = True
    kept_to = 1e-4
    metrics: tuple[str, ...] = ("accuracy", "f1", "macro-f1", "matthews")
    classifier_init = "xavier"
    base = "entropy"
    label_dtype: type = np.int64
    problem_type: str | None = None

    # Labels of files.

    none: Any = UNLABELLED  # the label of a row that has none, as `array` takes it

    def cell(self, value: Any) -> str:
        """A label of any table as text."""
        return str(value).strip()

    def classes_of(self, labels: Sequence[str]) -> list[str]:
        """The different classes that labels name, in order; empty where the type leaves it to the caller."""
        return []

    def named(self, value: str, task: "Task", place: str) -> Any:
        """The label that a name, or what stands for it, means. Raises InputError, beginning with `place`."""
        name = value if value in task.classes else plain_integer(value)
        return self.none if name is None else number_of(name, task.classes, place)

    def label(self, value: str, task: "Task", place: str) -> Any:
        """The label that a cell of a file holds. Raises InputError, beginning with `place`, if it holds none."""
        number = whole(value)
        if number is None or not 0 <= number < len(task.classes):
            expected = f"an integer from 0 to {len(task.classes) - 1}"
            raise InputError(f"{place}: found the label {value[:40]!r}, expected {expected}")
        return number

    def check_text(self, text: str, label: Any, place: str) -> None:
        """Raise InputError, beginning with `place`, if the label cannot be of the text."""

    def array(self, labels: Sequence, classes: int) -> np.ndarray:
        """Labels as an array, a row for each sample: what a Split keeps."""
        return np.array(labels, np.int64)

    def known(self, labels: np.ndarray) -> np.ndarray:
        """Which rows have a label, bool [samples], of labels as `array` makes them."""
        return labels >= 0

    def known_units(self, labels: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """The same of labels as a trace has them."""
        return self.known(labels)

    def of_units(self, labels: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Labels as a trace has them, of labels as `array` makes them."""
        return labels

    def strata(self, labels: np.ndarray) -> np.ndarray:
        """Groups of rows, int64 [samples], of each of which a part is held out: classes, and rows without a label."""
        return labels

    def unseen(self, labels: np.ndarray, classes: int) -> np.ndarray:
        """The classes that never occur among `labels`, where nothing can be learnt without them."""
        if not self.every_class:
            return np.array([], np.int64)
        return np.flatnonzero(np.bincount(labels, minlength=classes) == 0)

    # The model.

    def head(self, hidden: int, config: "PreTrainedConfig") -> "nn.Module":
        """A fresh classifier of a FastBertConfig's sizes, from hidden states [b, n, hidden] to outputs [b, classes]."""
        from fastbert_core.heads import Classifier

        width, heads, dropout = config.classifier_width, config.classifier_heads, config.classifier_dropout
        return Classifier(hidden, config.num_labels, width, heads, dropout)

    def encode(
        self, tokenizer: "PreTrainedTokenizerBase", texts: Sequence[str], pairs: Sequence[str] | None, max_tokens: int
    ) -> "Encoded":
        """Texts, or pairs of texts, as tokens of a model."""
        from fastbert_core.encoding import encode

        return encode(tokenizer, texts, pairs, max_tokens)

    def activate(self, logits: "Tensor") -> "Tensor":
        """What an exit says by its logits [..., classes], float32 as they are kept."""
        return logits.float().softmax(dim=-1)

    def logits(self, p: "Tensor") -> "Tensor":
        """Logits, up to what `activate` passes over, of what exits said."""
        import torch

        return p.clamp(min=torch.finfo(torch.float32).tiny).log()

    @property
    def losses(self) -> "Mapping[str, Loss]":
        """The losses by name, of logits [units, exits, classes]."""
        from fastbert_core.losses import LOSSES

        return LOSSES

    # Traces.

    def label_shape(self, p: np.ndarray) -> tuple[int, ...]:
        """The shape of a trace's labels, where exits said `p`."""
        return p.shape[:1]

    def check(self, p: np.ndarray, labels: np.ndarray, require: Require) -> None:
        """Have `require` raise InputError for what is said, or for labels, that cannot be of this type."""
        classes = p.shape[2]
        require(classes > 1, f"{classes} classes", "at least two")
        require(bool((p >= 0).all()), "negative probabilities", "values in [0, 1]")
        worst = float(np.abs(p.sum(axis=-1, dtype=np.float64) - 1).max())
        require(worst <= SUM_TOLERANCE, f"a row {worst:.2g} away from summing to 1", f"at most {SUM_TOLERANCE:g}")
        lowest, highest = labels.min(), labels.max()
        require(lowest >= 0 and highest < classes, f"labels from {lowest} to {highest}", f"0 to {classes - 1}")

    def answer(self, p: np.ndarray) -> np.ndarray:
        """What each layer answers, [units, layers] or [units, layers, classes]."""
        return p.argmax(axis=-1)

    def quality(
        self, answers: np.ndarray, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()
    ) -> np.ndarray:
        """How right each sample's answers are, bool, or float in [0, 1]: [samples, layers], from [units, layers, …].

        classes: their names, where these mean something
        """
        return answers == labels[:, None]

    def same(self, answers: np.ndarray, others: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Whether each sample's answers are as good as the `others`, bool [samples, layers]; they may broadcast."""
        return answers == others

    def near_tie(self, p: np.ndarray, words: np.ndarray | None, tolerance: float) -> np.ndarray:
        """Whether a sample's answer hangs on less than `tolerance`, bool [samples, layers]."""
        top_two = np.sort(p, axis=-1)[..., -2:].astype(np.float64)
        return top_two[..., 1] - top_two[..., 0] <= tolerance

    def constant(self, labels: np.ndarray, words: np.ndarray | None = None, classes: Sequence[str] = ()) -> float:
        """The mean quality of the best answer that is the same for all samples."""
        return np.bincount(labels).max() / len(labels)

    def recalled(self, answers: np.ndarray, labels: np.ndarray, classes: int) -> tuple[np.ndarray, np.ndarray]:
        """Which classes occur, and which are ever answered rightly, bool [classes] each; answers: as labels are."""
        counted = (np.bincount(which, minlength=classes) for which in (labels, labels[answers == labels]))
        there, right = (counts > 0 for counts in counted)
        return there, right

    def at(self, values: np.ndarray, exit_layer: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """Of [units, layers, …], what stands at the layer (from 1) where each sample leaves, [units, …]."""
        return at_exit(values, exit_layer if words is None else np.repeat(exit_layer, words))

    # Exit rules.

    def rules(self) -> dict[str, ExitRule]:
        """The exit rules that have a meaning for this type, by name."""
        return {name: rule for name, rule in RULES.items() if self.name in rule.types}

    def rule(self, rule: str | ExitRule | None = None) -> ExitRule:
        """A rule by its name, or as it is; None is the type's own.

        Raises InputError for one that is unknown, has yet to be fitted, or has no meaning for this type.
        """
        found = get_rule(self.base if rule is None else rule)
        if self.name not in found.types:
            name = rule if isinstance(rule, str) else type(found).__name__
            expected = ", ".join(known for known, other in self.rules().items() if not other.needs_fit)
            raise InputError(f"exit rule {name}: has no meaning for {self.name} tasks, expected one of {expected}")
        return found

    def score(self, rule: ExitRule, p: np.ndarray, words: np.ndarray | None) -> np.ndarray:
        """A rule's scores of samples, float64 [samples, layers]."""
        return rule.score(p)

    def answers(self, rule: ExitRule, p: np.ndarray) -> np.ndarray:
        """A rule's answers, as `answer` has them."""
        return rule.answer(p)

    def fit(self, rule: ExitRule, p: np.ndarray, labels: np.ndarray | None) -> ExitRule:
        """The rule, fitted on what exits said of calibration rows, and on their labels, None where they have none."""
        return rule.fit(p, labels)

    # People.

    def told(self, answer: Any, classes: Sequence[str], scores: Sequence[float] | None) -> tuple[Any, Any]:
        """An answer of a model with such classes, or such a range of scores, by name and by number."""
        return classes[answer], answer


TASK_TYPES: Registry[TaskType] = Registry("task type", __name__)
SINGLE = TaskType()  # what is meant where nobody names a type: the paper's own, one class a text
TASK_TYPES.register(SINGLE.name, SINGLE)


def number_of(name: str, classes: Sequence[str], place: str) -> int:
    """The number of the class that is called so. Raises InputError, beginning with `place`, if there is none."""
    if name not in classes:
        listed = ", ".join(classes[:20]) + (", …" if len(classes) > 20 else "")
        raise InputError(f"{place}: found the label {name[:40]!r}, expected one of {listed}")
    return classes.index(name)


def plain_integer(label: str) -> str | None:
    """A label that is an integer, or a float that is one, without its zeros; None for -1, and what else it is."""
    if not WHOLE.fullmatch(label):
        return label
    number = int(float(label))
    return None if number == UNLABELLED else str(number)


def check_unwritten(value: str, place: str) -> None:
    """Raise InputError, beginning with `place`, for a list as text, which is how Python writes it into a CSV file."""
    if WRITTEN_LIST.fullmatch(value):
        expected = "names alone, or a real list, as JSONL and Parquet have"
        raise InputError(f"{place}: found the list {value[:40]!r} as a text, expected {expected}")


def whole(value: str) -> int | None:
    """The integer that a cell holds, None if it holds none."""
    digits = value.removeprefix("-")
    return int(value) if digits.isascii() and digits.isdigit() and len(digits) <= INTEGER else None
