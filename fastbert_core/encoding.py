"""Texts to token ids, and token ids to batches with little padding."""

from array import array
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from transformers import PreTrainedTokenizerBase

from fastbert_core.errors import InputError
from fastbert_core.tokens import first_tokens, frame, shares

# Batches of like length are formed within windows of this many batches, so that an epoch stays well shuffled.
BUCKET = 50
# Padded tokens in one batch: enough to keep the matrix products busy, little enough to stay in cache.
TOKEN_BUDGET = 4096
SURE = 20.0  # how far other logits lie below that of the class that a cut word is sure of


@dataclass(frozen=True)
class Words:
    """Where the words of texts begin.

    firsts: int32 [words], the place in its text of each word's first token, -1 where that was cut
    offsets: int64 [texts + 1], text i has the words offsets[i] to offsets[i + 1]
    """

    firsts: np.ndarray
    offsets: np.ndarray

    @cached_property
    def counts(self) -> np.ndarray:
        """Words of each text, int32 [texts]."""
        return np.diff(self.offsets).astype(np.int32)

    def of(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of the words of the given texts, one text's after the other's."""
        counts = self.counts[rows].astype(np.int64)
        begins = np.concatenate([[0], counts.cumsum()[:-1]])
        return np.arange(counts.sum()) + np.repeat(self.offsets[rows] - begins, counts)

    def places(self, rows: np.ndarray, width: int) -> np.ndarray:
        """`firsts` of the given texts, int64 [rows, width], -1 where a text has no such word."""
        inside = np.arange(width) < self.counts[rows][:, None]
        places = np.full(inside.shape, -1, np.int64)
        places[inside] = self.firsts[self.of(rows)]
        return places


@dataclass(frozen=True)
class Encoded:
    """Token ids of many texts, without padding: row i is `ids[offsets[i]:offsets[i + 1]]`.

    A unit is what has a label: a text, or a word of one where its `words` are told.

    ids: int32 [sum of lengths]; segments: int8, the same shape, or None where all are 0;
    offsets: int64 [texts + 1]; truncated: bool [texts], whether a text was cut, or None where nobody asks.
    words: where each word begins, None where texts are not divided into words
    """

    ids: np.ndarray
    segments: np.ndarray | None
    offsets: np.ndarray
    truncated: np.ndarray | None = None
    words: Words | None = None

    def __len__(self) -> int:
        return len(self.offsets) - 1

    @property
    def word_counts(self) -> np.ndarray | None:
        """How many words each text has, int32 [texts], None where texts are not divided into words."""
        return None if self.words is None else self.words.counts

    @property
    def unit_count(self) -> int:
        """How many units there are in all."""
        return len(self) if self.words is None else len(self.words.firsts)

    def units(self, rows: np.ndarray) -> np.ndarray:
        """The numbers of the units of the given texts, one text's after the other's."""
        return rows if self.words is None else self.words.of(rows)

    @cached_property
    def lengths(self) -> np.ndarray:
        """Tokens of each text after truncation, special tokens included, int32 [texts]."""
        return np.diff(self.offsets).astype(np.int32)


def check_vocabulary(tokenizer: PreTrainedTokenizerBase, size: int, name: str | Path) -> None:
    """Raise InputError, naming `name`, if the tokenizer makes tokens beyond an encoder's `size` embeddings."""
    tokens = 1 + max(tokenizer.get_vocab().values(), default=0)
    if tokens > size:
        raise InputError(f"{name}: found a tokenizer of {tokens} tokens, expected at most the encoder's {size}")


@dataclass(frozen=True)
class Batch:
    """A padded batch: `input_ids` int64 [batch, tokens]; `token_type_ids` the same or None;
    `mask` bool [batch, tokens], True at real tokens, or None where nothing is padded; `words`, where texts are divided
    into words, of all of these the row in the batch and the place of the first token, int64 [words] each."""

    input_ids: Tensor
    mask: Tensor | None
    token_type_ids: Tensor | None
    words: tuple[Tensor, Tensor] | None = None

    def of_units(self, logits: Tensor) -> Tensor:
        """Of logits [batch, …], or of every token [batch, …, tokens, classes], those of the units, [units, …]."""
        if self.words is None:
            return logits
        rows, places = self.words
        found = logits[rows, :, places] if logits.ndim == 4 else logits[rows, places]
        return outside(found, places)


def outside(logits: Tensor, places: Tensor) -> Tensor:
    """Logits [*places, …, classes] in which words without a token, whose place is -1, are sure of the first class.

    That is `O`, outside of any entity: what a model that never saw a word must say of it.
    """
    sure = logits.new_full((logits.shape[-1],), -SURE)
    sure[0] = 0.0
    cut = (places < 0).reshape(*places.shape, *[1] * (logits.ndim - places.ndim))
    return torch.where(cut, sure, logits)


def encode(
    tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None = None, max_tokens: int = 128
) -> Encoded:
    """Tokenise texts, or pairs of texts, as [CLS] a [SEP] (b [SEP]), truncated to `max_tokens`.

    A text costs its first `max_tokens` tokens, however long it is, unless the tokenizer cuts on the left. The
    tokenizer's settings of truncation and padding are taken away. Raises InputError if `max_tokens` has no room for a
    token of each text, or a sample would have no tokens at all, as where the tokenizer adds no [CLS].
    """
    around = frame(tokenizer, pairs is not None)
    if max_tokens < around.least:
        expected = f"at least {around.least}: {around.special} special tokens and one of each text"
        raise InputError(f"max_tokens: found {max_tokens}, expected {expected}")
    room = max_tokens - around.special
    columns = [texts] if pairs is None else [texts, pairs]
    found = zip(*(first_tokens(tokenizer, column, room) for column in columns), strict=True)
    from_left = tokenizer.truncation_side == "left"
    ids, segments, lengths, truncated = array("i"), array("b"), array("i"), []
    for row, (sample, of_row) in enumerate(zip(zip(*columns, strict=True), found, strict=True)):
        counts = list(map(len, of_row))
        kept = shares(counts, list(map(len, sample)), room)
        lengths.append(around.special + sum(kept))
        if not lengths[-1]:
            raise InputError(f"texts: found no token in sample {row + 1}, {texts[row][:40]!r}, expected at least one")
        truncated.append(sum(counts) > room)
        ids.extend(around.ids[0])
        segments.extend(around.segments[0])
        for at, (read, share) in enumerate(zip(of_row, kept, strict=True)):
            ids.extend((read[len(read) - share :] if from_left else read[:share]) + around.ids[at + 1])
            segments.extend([around.of_texts[at]] * share + around.segments[at + 1])
    return Encoded(
        ids=np.array(ids, np.int32),
        segments=np.array(segments, np.int8) if any(segments) else None,
        offsets=np.concatenate([[0], np.cumsum(lengths, dtype=np.int64)]),
        truncated=np.array(truncated, bool),
    )


def collate(
    encoded: Encoded, rows: np.ndarray, pad_id: int, device: torch.device | str = "cpu", width: int | None = None
) -> Batch:
    """Pad the given rows to `width` tokens, or to the longest among them."""
    starts, lengths = encoded.offsets[rows], encoded.lengths[rows]
    width = int(lengths.max()) if width is None else width
    mask = np.arange(width) < lengths[:, None]  # [b, n]
    ids = np.full(mask.shape, pad_id, np.int64)
    positions = (starts[:, None] + np.arange(width))[mask]
    ids[mask] = encoded.ids[positions]
    segments = None
    if encoded.segments is not None:
        segments = np.zeros(mask.shape, np.int64)
        segments[mask] = encoded.segments[positions]

    def move(array: np.ndarray) -> Tensor:
        return torch.from_numpy(array).to(device, non_blocking=True)

    words = None
    if encoded.words is not None:
        at = np.repeat(np.arange(len(rows)), encoded.words.counts[rows])
        words = move(at), move(encoded.words.firsts[encoded.units(rows)].astype(np.int64))
    return Batch(
        input_ids=move(ids),
        mask=None if mask.all() else move(mask),
        token_type_ids=None if segments is None else move(segments),
        words=words,
    )


def shuffled_batches(lengths: np.ndarray, batch_size: int, seed: int, epoch: int) -> list[np.ndarray]:
    """The rows of each batch of a training epoch: a function of (seed, epoch) alone, so that a run can resume.

    Rows are shuffled, sorted by length within windows of BUCKET batches, cut into batches, and the
    batches shuffled again. Every row occurs exactly once.
    """
    generator = np.random.default_rng([seed, epoch])
    order = generator.permutation(len(lengths))
    window = BUCKET * batch_size
    batches = []
    for start in range(0, len(order), window):
        rows = order[start : start + window]
        rows = rows[np.argsort(lengths[rows], kind="stable")]
        batches += [rows[at : at + batch_size] for at in range(0, len(rows), batch_size)]
    return [batches[at] for at in generator.permutation(len(batches))]


def sorted_batches(lengths: np.ndarray, max_batch: int = 64, token_budget: int = TOKEN_BUDGET) -> list[np.ndarray]:
    """Rows in batches of like length, longest first, of at most `max_batch` rows and `token_budget` padded tokens."""
    order = np.argsort(-lengths.astype(np.int64), kind="stable")
    batches, at = [], 0
    while at < len(order):
        rows = max(1, min(max_batch, token_budget // int(lengths[order[at]])))
        batches.append(order[at : at + rows])
        at += rows
    return batches
