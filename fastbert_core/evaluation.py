"""What a trained model comes to on labelled rows: at its operating points, class by class, under other rules."""

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import NamedTuple

import numpy as np
from scipy.stats import binomtest
from sklearn.metrics import precision_recall_fscore_support
from transformers import PreTrainedTokenizerBase

from fastbert_core.data import content_hash
from fastbert_core.exit_metrics import Curve, curve
from fastbert_core.exit_rules import at_exit, exit_layers
from fastbert_core.flops import EncoderShape
from fastbert_core.layer_seconds import second_costs
from fastbert_core.metrics import judged
from fastbert_core.model import FastBertModel
from fastbert_core.operating_points import OperatingPoints, calibrated, costs, weights_sha256
from fastbert_core.pooling import Shapes
from fastbert_core.reduced import folded
from fastbert_core.task_metrics import METRICS
from fastbert_core.task_types import SINGLE
from fastbert_core.trace import Trace
from fastbert_core.tracing import probabilities
from fastbert_core.tsv import Split

NORMAL = 1.96  # of a 95% interval
SPEEDUPS = (2.0, 3.0, 4.0)  # at which rules are held beside each other


class Said(NamedTuple):
    """What the exits of a model say of rows: a trace, in which rows may have no label (-1)."""

    model: FastBertModel
    split: Split
    trace: Trace

    def operating_points(self, folder: Path, shapes: Shapes | None = None) -> OperatingPoints:
        """The operating points of the model, which lies in `folder`, calibrated on these rows.

        shapes: of an engine's batches, where speedups are to be of seconds; None counts multiply-accumulates
        """
        of = {
            "model_sha256": weights_sha256(folder),
            "texts_sha256": content_hash((), self.split),
            "max_tokens": self.model.config.max_tokens,
        }
        if shapes is not None:
            of |= {"priced": second_costs(folded(self.model), self.trace.tokens, shapes), "unit": "seconds"}
        return calibrated(self.trace, **of)

    @property
    def labelled(self) -> Trace:
        """The rows that have a label."""
        trace, words = self.trace, self.trace.words
        known = trace.kind.known_units(trace.labels, words)
        units = known if words is None else np.repeat(known, words)
        of_units = {"probabilities": trace.probabilities[units], "labels": trace.labels[units]}
        return replace(trace, **of_units, tokens=trace.tokens[known], words=None if words is None else words[known])

    def tables(self, points: OperatingPoints | None) -> dict | None:
        """`evaluate` of the labelled rows; None where there are none."""
        labelled = self.labelled
        return evaluate(labelled, points) if len(labelled) else None


def said_of(model: FastBertModel, tokenizer: PreTrainedTokenizerBase, split: Split, progress: str) -> Said:
    """What every exit says of rows, in fp32; `progress` is the label of the progress bar."""
    kind, config = model.kind, model.config
    encoded = kind.encode(tokenizer, split.texts, split.pairs, config.max_tokens)
    p, words = probabilities(model, encoded, tokenizer.pad_token_id, progress=progress), encoded.word_counts
    metadata = {
        "split": progress,
        "task_type": kind.name,
        "classes": config.class_names,
        "layers": list(range(1, model.layers + 1)),
        "encoder": EncoderShape.from_config(config).described,
    }
    return Said(model, split, Trace(p, kind.of_units(split.labels, words), encoded.lengths, metadata, words=words))


def evaluate(trace: Trace, points: OperatingPoints | None) -> dict:
    """Tables as JSON-like lists of rows: `points` and `classes`; and `rows`, `majority`, `confidence`.

    trace: of rows with labels; points: rows at the full model, and at each of these

    Accuracy is in per cent with Wilson's 95% interval, `lost` in points against the full model with a paired 95%
    interval, speedup in multiply-accumulates against a model without exits; majority is the commonest class's share,
    confidence the mean probability of the full model's answer, None where it is not one class. Of types that grade an
    answer, accuracy is the mean quality, majority that of the best answer for all.
    """
    kind, of = trace.kind, (trace.labels, trace.words, trace.metadata["classes"])
    scores, answers = judged(trace, kind.base if points is None else points.rule)
    cost, of_full = costs(trace)
    dense = float(of_full.mean())
    rows = [_row(trace, "full model", None, np.full(len(trace), scores.shape[1]), answers, dense, dense)]
    for point in () if points is None else points.points:
        left = exit_layers(scores, point.threshold or 0.0)
        rows.append(_row(trace, point.name, point.threshold, left, answers, at_exit(cost, left).mean(), dense))
    majority = 100 * float(kind.constant(*of))
    by_class = _by_class(answers[:, -1], trace.labels, of[2]) if kind is SINGLE else []
    sure = 100 * float(trace.probabilities[:, -1].max(axis=-1).mean()) if kind is SINGLE else None
    return {"rows": len(trace), "majority": majority, "confidence": sure, "points": rows, "classes": by_class}


def _row(
    trace: Trace, name: str, threshold: float | None, left: np.ndarray, answers: np.ndarray, cost: float, dense: float
) -> dict:
    """What leaving at layers `left` [rows] comes to, beside the last of the `answers` [units, layers, …]."""
    kind, words = trace.kind, trace.words
    said, full = kind.at(answers, left, words), answers[:, -1]
    right, full_right = (trace.quality(side[:, None])[:, 0] for side in (said, full))
    lost = full_right.astype(float) - right
    of = said, trace.labels, words, trace.metadata["classes"]
    return {
        "point": name,
        "threshold": threshold,
        "accuracy": 100 * float(right.mean()),
        "accuracy_interval": _interval(right),
        "lost": 100 * float(lost.mean()),
        "lost_interval": _interval(lost),
        **{
            name.replace("-", "_"): None if np.isnan(value := METRICS[name](*of)) else value
            for name in (kind.metrics if kind is not SINGLE else ("macro-f1",))
            if name != "accuracy"  # of every part of a sample at once; here `accuracy` is the mean quality
        },
        "same": 100 * float(kind.same(said[:, None], full[:, None], words).mean()),
        "speedup": float(dense / cost),
        "mean_layers": float(left.mean()),
    }


def _interval(values: np.ndarray) -> list[float]:
    """In per cent, Wilson's interval of a share, bool [rows]; of numbers, float [rows], that of their mean."""
    if values.dtype == bool:
        ends = binomtest(int(values.sum()), len(values)).proportion_ci(method="wilson")
    else:
        width = NORMAL * float(values.std()) / np.sqrt(len(values))
        ends = values.mean() - width, values.mean() + width
    return [100 * float(end) for end in ends]


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


def beside(trace: Trace) -> list[dict]:
    """Accuracy of every rule that needs no fitting at equal cost on these rows, in per cent, best first.

    Of each accuracy, `…_lost_interval` is the paired 95% interval of the points lost against the full model.

    Thresholds are those that reach the cost here, so all rules are flattered alike: it compares rules and promises
    nothing. A speedup that is beyond the first layer's is left out.
    """
    cost, of_full = costs(trace)
    dense = float(of_full.mean())
    within = [speedup for speedup in SPEEDUPS if dense / speedup >= cost[:, 0].mean()]
    rows = []
    for name, rule in trace.kind.rules().items():
        if rule.needs_fit or rule.unnormalised:
            continue
        scores, answers = judged(trace, name)
        right = trace.quality(answers)
        found, row = curve(scores, right, cost), {"rule": name}
        for speedup in within:
            lost = trace.correct[:, -1] - _right_at(found, dense / speedup, scores, right)
            row[f"{speedup:g}x"] = float(found.at(dense / speedup))
            row[f"{speedup:g}x_lost_interval"] = _interval(lost)
        rows.append(row)
    return sorted(rows, key=lambda row: -sum(row[f"{speedup:g}x"] for speedup in within))


def _right_at(found: Curve, cost: float, scores: np.ndarray, right: np.ndarray) -> np.ndarray:
    """How right each row is at a mean cost, float64 [rows]: interpolated between the two thresholds beside it."""
    place = np.interp(cost, found.cost, np.arange(len(found.cost)))
    below = int(place)
    thresholds = found.thresholds[[below, min(below + 1, len(found.cost) - 1)]]
    one, other = (at_exit(right, exit_layers(scores, threshold)).astype(float) for threshold in thresholds)
    return one + (place - below) * (other - one)
