"""Adaptive inference on encoded samples (paper, section 3.4): one by one, or pooled between the layers."""

from collections import deque
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from itertools import pairwise
from typing import Any, NamedTuple

import numpy as np
import torch
from torch import Tensor

from fastbert_core.encoding import Encoded, Words, collate, outside
from fastbert_core.exit_rules import ExitRule
from fastbert_core.model import FastBertConfig, FastBertModel
from fastbert_core.pooling import Group, Pool, Shapes, cut
from fastbert_core.task_types import SINGLE, TaskType
from fastbert_core.uncertainty import check_finite

# Batches that are queued before the answer of the last one is read, so that a GPU never waits for the host.
AHEAD = {"cpu": 0, "cuda": 1}


class Prediction(NamedTuple):
    """What the model says of one text.

    label, index: the class, by name and by number, or what the task type answers: the labels that hold, a score, the
        tags of the words
    exit_layer: layers executed, from 1; uncertainty: in [0, 1], of the classifier that decided
    truncated: whether the text was longer than `max_tokens` and was cut
    probabilities: of every class, in label order, by the classifier of the layer where it left
    """

    label: Any
    index: Any
    exit_layer: int
    uncertainty: float
    truncated: bool
    probabilities: tuple[float, ...] = ()


@dataclass(frozen=True)
class Predictions:
    """What the model says of many samples, in input order.

    labels: int64 [samples], or what the task type answers for each unit; exit_layers: int64 [samples], layers executed,
    from 1; uncertainties: float64 [samples], what the exit rule scored where they left; probabilities: float32
    [units, classes], of the layer where they left
    first_scores: float64 [samples], what the rule scored at layer 1, where no threshold has been at work yet
    words: where the samples' words lie, None where they are not divided into words and a unit is a sample
    """

    labels: np.ndarray
    exit_layers: np.ndarray
    uncertainties: np.ndarray
    probabilities: np.ndarray
    first_scores: np.ndarray
    kind: TaskType = SINGLE
    words: Words | None = None

    @classmethod
    def empty(cls, samples: int, classes: int, kind: TaskType = SINGLE, words: Words | None = None) -> "Predictions":
        """Room for so many, to be filled in."""
        p = np.zeros((samples if words is None else len(words.firsts), classes), np.float32)
        labels = np.zeros(kind.label_shape(p[:, None]), kind.label_dtype)
        return cls(labels, np.zeros(samples, np.int64), np.zeros(samples), p, np.zeros(samples), kind, words)

    def put(self, rows: np.ndarray, answers: np.ndarray, layer: int, scores: np.ndarray, p: np.ndarray) -> None:
        """Fill in samples that leave at `layer`, whose exit says `p` [rows, classes], or e^z in its place.

        Of words, `answers` and `p` are padded to [rows, words, …].
        """
        self.exit_layers[rows], self.uncertainties[rows] = layer, scores
        units = rows
        if self.words is not None:
            inside = np.arange(p.shape[1]) < self.words.counts[rows][:, None]
            units, answers, p = self.words.of(rows), answers[inside], p[inside]
        self.labels[units] = answers
        self.probabilities[units] = p / p.sum(axis=-1, keepdims=True) if self.kind.sums_to_one else p

    def each(self, config: FastBertConfig, truncated: np.ndarray) -> Iterator[Prediction]:
        """A Prediction for each sample of a model with this configuration."""
        answers = self._by_sample(self.labels), self._by_sample(self.probabilities)
        of_samples = (column.tolist() for column in (self.exit_layers, self.uncertainties, truncated))
        for answer, p, exit_layer, uncertainty, shortened in zip(*answers, *of_samples, strict=True):
            label, index = self.kind.told(answer, config.class_names, config.scores)
            yield Prediction(label, index, exit_layer, uncertainty, shortened, tuple(p))

    def _by_sample(self, values: np.ndarray) -> list:
        """What is kept of units [units, …] by sample, in lists: a sample's own, or those of its words."""
        listed = values.tolist()
        return listed if self.words is None else [listed[a:b] for a, b in pairwise(self.words.offsets.tolist())]

    def __len__(self) -> int:
        return len(self.exit_layers)


class Leaving(NamedTuple):
    """When samples leave: where the score of `rule` falls below `threshold`, and at layer `last` in any case.

    Of samples that do not all want the same, `threshold` and `last` are arrays [batch].
    """

    rule: ExitRule
    threshold: float | np.ndarray
    last: int | np.ndarray
    kind: TaskType = SINGLE

    def told(self, logits: Tensor, places: np.ndarray | None = None) -> Tensor:
        """What the rule is told of logits [batch, classes]: float32 probabilities, or e^z where it asks for that.

        places: int64 [batch, words], where words begin whose logits are among [batch, tokens, classes]
        """
        if places is not None:
            at = torch.from_numpy(places).to(logits.device)
            rows = torch.arange(len(logits), device=logits.device)[:, None]
            logits = outside(logits[rows, at.clamp(min=0)], at)
        return logits.double().exp() if self.rule.unnormalised else self.kind.activate(logits)

    def judge(
        self, said: np.ndarray | None, p: np.ndarray, layer: int, words: np.ndarray | None = None
    ) -> tuple[np.ndarray, ...]:
        """What a layer's probabilities `p`, [batch, classes], make of samples whose earlier exits `said` theirs.

        Of a rule that is told e^z they are that. words: how many there are of each sample, of which `p` is then padded
        to [batch, words, classes], as are the answers.

        Returns what to keep of all their exits, [batch, layers, classes] or None where the rule does not look back; the
        scores and the answers, [batch]; and who stays, bool [batch].
        """
        check_finite(p, layer)
        every = p[:, None] if said is None else np.concatenate([said, p[:, None]], axis=1)
        inside = ... if words is None else np.arange(p.shape[1]) < words[:, None]
        units = every if words is None else every.swapaxes(1, 2)[inside]  # [units, layers, classes]
        scores, of_units = self.kind.score(self.rule, units, words)[:, -1], self.kind.answers(self.rule, units)[:, -1]
        answers = of_units
        if words is not None:
            answers = np.zeros(inside.shape, of_units.dtype)
            answers[inside] = of_units
        kept = every if self.rule.looks_back else None
        return kept, scores, answers, (scores >= self.threshold) & (layer < self.last)


@torch.inference_mode()
def one_by_one(model: FastBertModel, encoded: Encoded, pad_id: int, leaving: Leaving) -> Predictions:
    """Each sample alone and unpadded, until the rule says that it leaves.

    Raises RunError, naming the layer, for probabilities that are not finite, as `pooled` does.
    """
    found, device = Predictions.empty(len(encoded), model.config.num_labels, model.kind, encoded.words), model.device
    for sample in range(len(encoded)):
        row = np.array([sample])
        batch, (places, words) = collate(encoded, row, pad_id, device), _words(encoded, row)
        hidden, layer, stays, said = model.embed(batch.input_ids, batch.token_type_ids), 0, True, None
        context = model.context(hidden, None)
        while stays:
            layer += 1
            hidden = model.run_layer(layer, hidden, context)
            p = leaving.told(model.classify(layer, hidden, None), places).cpu().numpy()  # [1, classes]
            said, scores, answers, (stays,) = leaving.judge(said, p, layer, words)
            if layer == 1:
                found.first_scores[sample] = scores[0]
        found.put(row, answers, layer, scores, p)
    return found


def _words(encoded: Encoded, rows: np.ndarray) -> tuple[np.ndarray | None, np.ndarray | None]:
    """Where the words of samples begin, int64 [rows, most words of any sample], and how many each has; else None."""
    if encoded.words is None:
        return None, None
    return encoded.words.places(rows, int(encoded.words.counts.max())), encoded.words.counts[rows]


@torch.inference_mode()
def pooled(model: FastBertModel, encoded: Encoded, pad_id: int, leaving: Leaving, shapes: Shapes) -> Predictions:
    """The same for all samples together: who stays after a layer waits until a batch of the next is full.

    The deepest full batch runs first, and new samples start where there is none, so little ever waits. When nothing
    new is left, the layers run what waits for them, the first one first.
    """
    found = Predictions.empty(len(encoded), model.config.num_labels, model.kind, encoded.words)
    pool, fresh, running = Pool(shapes), embedded(model, encoded, pad_id, shapes), deque()
    ahead = AHEAD[model.device.type]
    while True:
        group = pool.full_batch() or next(fresh, None) or (None if running else pool.rest())
        if group is not None:
            places = _words(encoded, group.samples)[0]
            running.append(run(model, group, partial(leaving.told, places=places)))
        elif not running:
            return found
        if group is None or len(running) > ahead:
            group, told = running.popleft().answer()
            p, words = told.numpy(), None if encoded.words is None else encoded.words.counts[group.samples]
            group.said, scores, answers, stays = leaving.judge(group.said, p, group.layer, words)
            if group.layer == 1:
                found.first_scores[group.samples] = scores
            found.put(group.samples[~stays], answers[~stays], group.layer, scores[~stays], p[~stays])
            pool.add(group, stays)


def embedded(model: FastBertModel, encoded: Encoded, pad_id: int, shapes: Shapes) -> Iterator[Group]:
    """All samples, longest first, in full batches, or parts of such, that are embedded one at a time."""
    lengths = encoded.lengths.astype(np.int64)
    order, at = np.argsort(-lengths, kind="stable"), 0
    while at < len(order):
        full = order[at : at + shapes.capacity(shapes.width(lengths[order[at]]))]
        for part in cut(lengths[full], shapes):
            rows = full[part]
            yield Group(rows, lengths[rows], embed(model, encoded, rows, shapes.width(lengths[rows[0]]), pad_id))
        at += len(full)


def embed(model: FastBertModel, encoded: Encoded, rows: np.ndarray, width: int, pad_id: int) -> Tensor:
    """The embeddings [rows, width, hidden] of some samples."""
    batch = collate(encoded, rows, pad_id, model.device, width)
    return model.embed(batch.input_ids, batch.token_type_ids)


class Running(NamedTuple):
    """A group in a layer, and what its exit says, [batch, classes], on its way to the host."""

    group: Group
    told: Tensor
    arrived: "torch.cuda.Event | None"

    def answer(self) -> tuple[Group, Tensor]:
        """Wait for what the exit says."""
        if self.arrived is not None:
            self.arrived.synchronize()
        return self.group, self.told


def run(model: FastBertModel, group: Group, told: Callable[[Tensor], Tensor]) -> Running:
    """Send a group through its next layer and that layer's classifier, without waiting for the answer.

    told: turns logits [batch, classes] into what the exit rule reads. The group is as it was if memory runs out.
    """
    if group.masks is None:
        mask = group.mask()
        group.masks = (mask, model.context(group.hidden, mask))
    mask, context = group.masks
    layer = group.layer + 1
    hidden = model.run_layer(layer, group.hidden, context)
    said = told(model.classify(layer, hidden, mask)).to("cpu", non_blocking=True)
    group.layer, group.hidden = layer, hidden
    arrived = None
    if hidden.is_cuda:
        arrived = torch.cuda.Event()
        arrived.record(torch.cuda.current_stream(hidden.device))
    return Running(group, said, arrived)
