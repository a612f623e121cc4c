"""Which precision is fastest on this machine: each is timed once, and must give the labels that fp32 gives."""

import time
from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from transformers import PreTrainedTokenizerBase

from fastbert_core.encoding import Encoded
from fastbert_core.engine import Engine
from fastbert_core.model import FastBertModel
from fastbert_core.precision import candidates

SAME = 99.5  # per cent of the texts, at least, that get fp32's label
MOST_TEXTS, TIMED_TEXTS, ROUNDS = 512, 32, 3


class Tried(NamedTuple):
    """A precision, its texts a second through all layers, and per cent of the texts that get fp32's label."""

    precision: str
    texts_per_second: float
    same: float


def try_precisions(
    model: FastBertModel, tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], pairs: Sequence[str] | None = None
) -> list[Tried]:
    """Each of `candidates` on the model's device, fp32 first, on no more than MOST_TEXTS of the texts.

    All are timed on the first few texts, in turns, and the best round counts, so that other work on the machine meets
    them alike.
    """
    rows = np.sort(np.random.default_rng(7).permutation(len(texts))[:MOST_TEXTS])
    some = [[column[row] for row in rows] if column is not None else None for column in (texts, pairs)]
    encoded = model.kind.encode(tokenizer, *some, model.config.max_tokens)
    few = model.kind.encode(tokenizer, *(column and column[:TIMED_TEXTS] for column in some), model.config.max_tokens)
    engines = [Engine(model, tokenizer, precision) for precision in candidates(model.device)]
    labels = [engine.predict(encoded, 0.0).labels[:, None] for engine in engines]  # warms them up, too
    rounds = [[_timed(engine, few) for engine in engines] for _ in range(ROUNDS)]
    seconds = np.min(rounds, axis=0).tolist()
    return [
        Tried(
            engine.precision,
            len(few) / spent,
            100 * float(model.kind.same(mine, labels[0], encoded.word_counts).mean()),
        )
        for engine, spent, mine in zip(engines, seconds, labels, strict=True)
    ]


def fastest_of(tried: list[Tried]) -> Tried:
    """The fastest of those whose labels are fp32's in SAME per cent of the texts."""
    return max((each for each in tried if each.same >= SAME), key=lambda each: each.texts_per_second)


def _timed(engine: Engine, encoded: Encoded) -> float:
    start = time.perf_counter()
    engine.predict(encoded, 0.0)
    return time.perf_counter() - start
