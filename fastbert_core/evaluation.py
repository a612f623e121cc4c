"""What a trained model comes to on labelled rows: at its operating points, class by class, under other rules."""

from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import f1_score, precision_recall_fscore_support
from transformers import PreTrainedTokenizerBase

from fastbert_core.data import content_hash
from fastbert_core.encoding import encode
from fastbert_core.exit_metrics import curve
from fastbert_core.exit_rules import RULES, exit_layers, get_rule
from fastbert_core.flops import EncoderShape
from fastbert_core.model import FastBertModel
from fastbert_core.operating_points import OperatingPoints, calibrated, costs, weights_sha256
from fastbert_core.tracing import probabilities
from fastbert_core.tsv import Split

NORMAL = 1.96  # of a 95% interval
SPEEDUPS = (2.0, 3.0, 4.0)  # at which rules are held beside each other


class Said(NamedTuple):
    """What the exits of a model say of rows.

    probabilities: float32 [rows, layers, classes]; tokens: int32 [rows]
    """

    model: FastBertModel
    split: Split
    probabilities: np.ndarray
    tokens: np.ndarray

    @property
    def shape(self) -> EncoderShape:
        """What costs follow from."""
        return EncoderShape.from_config(self.model.config)

    def operating_points(self, folder: Path) -> OperatingPoints:
        """Those of the model, which lies in `folder`, by these rows, of which some may have no labels (-1)."""
        of = {
            "model_sha256": weights_sha256(folder),
            "texts_sha256": content_hash((), self.split),
            "max_tokens": self.model.config.max_tokens,
        }
        return calibrated(self.probabilities, self.split.labels, self.tokens, self.shape, **of)

    @property
    def labelled(self) -> tuple[np.ndarray, ...]:
        """Probabilities, labels and tokens of the rows that have a label."""
        known = np.flatnonzero(self.split.labels >= 0)
        return self.probabilities[known], self.split.labels[known], self.tokens[known]

    def tables(self, points: OperatingPoints | None) -> dict | None:
        """`evaluate` of the labelled rows; None where there are none."""
        rows = self.labelled
        return evaluate(*rows, self.shape, self.model.config.class_names, points) if len(rows[0]) else None


def said_of(model: FastBertModel, tokenizer: PreTrainedTokenizerBase, split: Split, progress: str) -> Said:
    """What every exit says of rows, in fp32; `progress` is the label of the progress bar."""
    encoded = encode(tokenizer, split.texts, split.pairs, model.config.max_tokens)
    p = probabilities(model, encoded, tokenizer.pad_token_id, progress=progress)
    return Said(model, split, p, encoded.lengths)


def evaluate(
    p: np.ndarray,
    labels: np.ndarray,
    tokens: np.ndarray,
    shape: EncoderShape,
    classes: Sequence[str],
    points: OperatingPoints | None,
) -> dict:
    """Tables as JSON-like lists of rows: `points` and `classes`; and `rows`, `majority`.

    p: probabilities float32 [rows, layers, classes]; labels: int64 [rows]; tokens: int32 [rows]
    points: rows at the full model, and at each of these

    Accuracy is in per cent with Wilson's 95% interval, `lost` in points against the full model with a paired 95%
    interval, speedup in multiply-accumulates against a model without exits; majority is the commonest class's share.
    """
    rule = get_rule("entropy" if points is None else points.rule)
    scores, answers = rule.score(p), rule.answer(p)
    cost, of_full = costs(tokens, shape, *p.shape[1:])
    dense = float(of_full.mean())
    full = answers[:, -1]
    wanted = [] if points is None else [(point.name, point.threshold or 0.0) for point in points.points]
    rows = [_row("full model", None, full, full, labels, dense, dense, p.shape[1])]
    for name, threshold in wanted:
        left = exit_layers(scores, threshold)
        at = (np.arange(len(p)), left - 1)
        rows.append(_row(name, threshold, answers[at], full, labels, cost[at].mean(), dense, left.mean()))
    counts = np.bincount(labels, minlength=len(classes))
    majority = 100 * float(counts.max() / len(labels))
    return {"rows": len(p), "majority": majority, "points": rows, "classes": _by_class(full, labels, classes)}


def _row(
    name: str,
    threshold: float | None,
    answers: np.ndarray,
    full: np.ndarray,
    labels: np.ndarray,
    cost: float,
    dense: float,
    layers: float,
) -> dict:
    right, full_right = answers == labels, full == labels
    interval = binomtest(int(right.sum()), len(right)).proportion_ci(method="wilson")
    lost = full_right.astype(float) - right
    width = NORMAL * float(lost.std()) / np.sqrt(len(lost))
    return {
        "point": name,
        "threshold": threshold,
        "accuracy": 100 * float(right.mean()),
        "accuracy_interval": [100 * interval.low, 100 * interval.high],
        "lost": 100 * float(lost.mean()),
        "lost_interval": [100 * float(lost.mean() - width), 100 * float(lost.mean() + width)],
        "macro_f1": 100 * float(f1_score(labels, answers, average="macro", zero_division=0)),
        "same": 100 * float((answers == full).mean()),
        "speedup": float(dense / cost),
        "mean_layers": float(layers),
    }


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


def beside(p: np.ndarray, labels: np.ndarray, tokens: np.ndarray, shape: EncoderShape) -> list[dict]:
    """Accuracy of every rule that needs no fitting at equal cost on these rows, in per cent, best first.

    Thresholds are those that reach the cost here, so all rules are flattered alike: it compares rules and promises
    nothing. A speedup that is beyond the first layer's is left out.
    """
    cost, of_full = costs(tokens, shape, *p.shape[1:])
    dense = float(of_full.mean())
    within = [speedup for speedup in SPEEDUPS if dense / speedup >= cost[:, 0].mean()]
    rows = []
    for name, rule in RULES.items():
        if rule.needs_fit or rule.unnormalised:
            continue
        found = curve(rule.score(p), rule.answer(p) == labels[:, None], cost)
        rows.append({"rule": name} | {f"{speedup:g}x": float(found.at(dense / speedup)) for speedup in within})
    return sorted(rows, key=lambda row: -sum(value for key, value in row.items() if key != "rule"))
