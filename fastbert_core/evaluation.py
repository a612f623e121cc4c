"""What a trained model comes to on labelled rows: at its operating points, class by class, under other rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from transformers import PreTrainedTokenizerBase

from fastbert_core.data import content_hash
from fastbert_core.exit_metrics import curve
from fastbert_core.exit_rules import exit_layers, get_rule
from fastbert_core.flops import EncoderShape
from fastbert_core.layer_seconds import second_costs
from fastbert_core.model import FastBertModel
from fastbert_core.operating_points import OperatingPoints, calibrated, costs, weights_sha256
from fastbert_core.pooling import Shapes
from fastbert_core.task_metrics import METRICS
from fastbert_core.task_types import SINGLE, TaskType
from fastbert_core.tracing import probabilities
from fastbert_core.tsv import Split

NORMAL = 1.96  # of a 95% interval
SPEEDUPS = (2.0, 3.0, 4.0)  # at which rules are held beside each other


class Said(NamedTuple):
    """What the exits of a model say of rows.

    probabilities: float32 [units, layers, classes]; tokens: int32 [rows]; labels: of units, as a trace has them
    words: how many each row has, None where rows are not divided into words
    """

    model: FastBertModel
    split: Split
    probabilities: np.ndarray
    tokens: np.ndarray
    labels: np.ndarray
    words: np.ndarray | None = None

    @property
    def shape(self) -> EncoderShape:
        """What costs follow from."""
        return EncoderShape.from_config(self.model.config)

    def operating_points(self, folder: Path, shapes: Shapes | None = None) -> OperatingPoints:
        """Those of the model, which lies in `folder`, by these rows, of which some may have no labels (-1).

        shapes: of the batches in which speedups are to be of seconds; None counts multiply-accumulates
        """
        of = {
            "model_sha256": weights_sha256(folder),
            "texts_sha256": content_hash((), self.split),
            "max_tokens": self.model.config.max_tokens,
        }
        if shapes is not None:
            of |= {"priced": second_costs(self.model, self.tokens, shapes), "unit": "seconds"}
        rows = self.probabilities, self.labels, self.tokens, self.shape, self.model.kind, self.words
        return calibrated(*rows, classes=self.model.config.class_names, **of)

    @property
    def labelled(self) -> tuple[np.ndarray, ...]:
        """Probabilities, labels, tokens and words of the rows that have a label."""
        known = self.model.kind.known(self.split.labels)
        if self.words is None:
            return self.probabilities[known], self.labels[known], self.tokens[known], None
        units = np.repeat(known, self.words)
        return self.probabilities[units], self.labels[units], self.tokens[known], self.words[known]

    def tables(self, points: OperatingPoints | None) -> dict | None:
        """`evaluate` of the labelled rows; None where there are none."""
        p, labels, tokens, words = self.labelled
        if not len(tokens):
            return None
        of = {"kind": self.model.kind, "words": words}
        return evaluate(p, labels, tokens, self.shape, self.model.config.class_names, points, **of)


def said_of(model: FastBertModel, tokenizer: PreTrainedTokenizerBase, split: Split, progress: str) -> Said:
    """What every exit says of rows, in fp32; `progress` is the label of the progress bar."""
    encoded = model.kind.encode(tokenizer, split.texts, split.pairs, model.config.max_tokens)
    p = probabilities(model, encoded, tokenizer.pad_token_id, progress=progress)
    words = encoded.word_counts
    return Said(model, split, p, encoded.lengths, model.kind.of_units(split.labels, words), words)


def evaluate(
    p: np.ndarray,
    labels: np.ndarray,
    tokens: np.ndarray,
    shape: EncoderShape,
    classes: Sequence[str],
    points: OperatingPoints | None,
    kind: TaskType = SINGLE,
    words: np.ndarray | None = None,
) -> dict:
    """Tables as JSON-like lists of rows: `points` and `classes`; and `rows`, `majority`, `confidence`.

    p: probabilities float32 [rows, layers, classes]; labels: int64 [rows]; tokens: int32 [rows]
    points: rows at the full model, and at each of these
    kind: the type of the task, of which `p` and `labels` are as in a trace; words: how many each row has

    Accuracy is in per cent with Wilson's 95% interval, `lost` in points against the full model with a paired 95%
    interval, speedup in multiply-accumulates against a model without exits; majority is the commonest class's share,
    confidence the mean probability of the full model's answer, None where it is not one class. Of types that grade an
    answer, accuracy is the mean quality, majority that of the best answer for all.
    """
    rule = get_rule(kind.base if points is None else points.rule)
    scores, answers = kind.score(rule, p, words), kind.answers(rule, p)
    cost, of_full = costs(tokens, shape, *p.shape[1:])
    dense = float(of_full.mean())
    full = answers[:, -1]
    wanted = [] if points is None else [(point.name, point.threshold or 0.0) for point in points.points]
    of = {"kind": kind, "words": words, "classes": classes}
    rows = [_row("full model", None, full, full, labels, dense, dense, p.shape[1], **of)]
    for name, threshold in wanted:
        left = exit_layers(scores, threshold)
        spent = cost[np.arange(len(cost)), left - 1].mean()
        said = kind.at(answers, left, words)
        rows.append(_row(name, threshold, said, full, labels, spent, dense, left.mean(), **of))
    majority = 100 * float(kind.constant(labels, words, classes))
    by_class = _by_class(full, labels, classes) if kind is SINGLE else []
    sure = 100 * float(p[:, -1].max(axis=-1).mean()) if kind is SINGLE else None
    return {"rows": len(tokens), "majority": majority, "confidence": sure, "points": rows, "classes": by_class}


def _row(
    name: str,
    threshold: float | None,
    answers: np.ndarray,
    full: np.ndarray,
    labels: np.ndarray,
    cost: float,
    dense: float,
    layers: float,
    kind: TaskType,
    words: np.ndarray | None,
    classes: Sequence[str],
) -> dict:
    right, full_right = (kind.quality(said[:, None], labels, words, classes)[:, 0] for said in (answers, full))
    low, high = _interval(right)
    lost = full_right.astype(float) - right
    width = NORMAL * float(lost.std()) / np.sqrt(len(lost))
    return {
        "point": name,
        "threshold": threshold,
        "accuracy": 100 * float(right.mean()),
        "accuracy_interval": [100 * low, 100 * high],
        "lost": 100 * float(lost.mean()),
        "lost_interval": [100 * float(lost.mean() - width), 100 * float(lost.mean() + width)],
        **{
            name.replace("-", "_"): None if np.isnan(value := METRICS[name](answers, labels, words, classes)) else value
            for name in (kind.metrics if kind is not SINGLE else ("macro-f1",))
        },
        "same": 100 * float(kind.same(answers[:, None], full[:, None], words).mean()),
        "speedup": float(dense / cost),
        "mean_layers": float(layers),
    }


def _interval(right: np.ndarray) -> tuple[float, float]:
    """Wilson's interval of a share, bool [rows]; of graded answers that of a mean."""
    if right.dtype == bool:
        return binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    width = NORMAL * float(right.std()) / np.sqrt(len(right))
    return float(right.mean() - width), float(right.mean() + width)


def _by_class(answers: np.ndarray, labels: np.ndarray, classes: Sequence[str]) -> list[dict]:
    numbers = list(range(len(classes)))
    found = precision_recall_fscore_support(labels, answers, labels=numbers, zero_division=0)
    said = np.bincount(answers, minlength=len(classes))
    return [
        {
            "class": name,
            "rows": int(found[3][at]),
            "predicted": int(said[at]),
            "precision": 100 * float(found[0][at]),
            "recall": 100 * float(found[1][at]),
            "f1": 100 * float(found[2][at]),
        }
        for at, name in enumerate(classes)
    ]


def beside(
    p: np.ndarray,
    labels: np.ndarray,
    tokens: np.ndarray,
    words: np.ndarray | None,
    shape: EncoderShape,
    kind: TaskType = SINGLE,
    classes: Sequence[str] = (),
) -> list[dict]:
    """Accuracy of every rule that needs no fitting at equal cost on these rows, in per cent, best first.

    Thresholds are those that reach the cost here, so all rules are flattered alike: it compares rules and promises
    nothing. A speedup that is beyond the first layer's is left out.
    """
    cost, of_full = costs(tokens, shape, *p.shape[1:])
    dense = float(of_full.mean())
    within = [speedup for speedup in SPEEDUPS if dense / speedup >= cost[:, 0].mean()]
    rows = []
    for name, rule in kind.rules().items():
        if rule.needs_fit or rule.unnormalised:
            continue
        correct = kind.quality(kind.answers(rule, p), labels, words, classes)
        found = curve(kind.score(rule, p, words), correct, cost)
        rows.append({"rule": name} | {f"{speedup:g}x": float(found.at(dense / speedup)) for speedup in within})
    return sorted(rows, key=lambda row: -sum(value for key, value in row.items() if key != "rule"))
