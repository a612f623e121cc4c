"""Entities in sequences of tags: which words, of what kind, as CoNLL's script counts them.

Tags are O, or a prefix and a kind such as B-PER: IOB2 (B, I), BMES (B, M, E, S) and IOBES all read alike. An entity
begins at B or S, after E or S, and where the word before has another kind or is outside; so what a model says is read
too where it is no well-formed sequence. A tag without such a prefix, as one of a part of speech, is a kind.
"""

import re
from collections.abc import Sequence

import numpy as np

NONE = -1
PREFIXED = re.compile(r"[BIMES](-.*)?", re.DOTALL)


def kinds_of(classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Of each tag: its kind as a number, NONE of O; whether it begins an entity; whether it ends one."""
    parts = [(tag[0], tag[2:]) if PREFIXED.fullmatch(tag) else ("", tag) for tag in classes]
    numbers = {name: number for number, name in enumerate(dict.fromkeys(name for _, name in parts))}
    kind = [NONE if part == ("", "O") else numbers[part[1]] for part in parts]
    begins, ends = ([prefix in prefixes for prefix, _ in parts] for prefixes in (("B", "S"), ("E", "S")))
    return np.array(kind), np.array(begins), np.array(ends)


def entities(tags: np.ndarray, words: np.ndarray, classes: Sequence[str]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The entities in tags, int64 [words, …], of sentences of so many `words`.

    Returns, of the shape of `tags`: whether an entity begins at a word; its kind; and the number of the last word of
    what begins, or stands, there.
    """
    kind_of, begins_of, ends_of = kinds_of(classes)
    kind = kind_of[tags]
    first = np.zeros(len(tags), bool)
    first[words.cumsum() - words] = True
    first = first.reshape(-1, *[1] * (tags.ndim - 1))
    before, ended = np.roll(kind, 1, axis=0), np.roll(ends_of[tags], 1, axis=0)
    fresh = first | begins_of[tags] | ended | (kind != before)
    begins = fresh & (kind != NONE)
    # The last word before the next fresh one, found from the end.
    number = np.arange(len(tags)).reshape(first.shape)
    following = np.where(np.roll(fresh, -1, axis=0), number, len(tags))
    following[-1] = len(tags) - 1
    last = np.minimum.accumulate(following[::-1], axis=0)[::-1]
    return begins, kind, last


def matched(answers: np.ndarray, labels: np.ndarray, words: np.ndarray, classes: Sequence[str]) -> np.ndarray:
    """Of each sentence, how many entities are both answered and there, answered, and there: float64 [sentences, …, 3].

    answers: int64 [words, …]; labels: int64 [words]
    """
    mine, there = entities(answers, words, classes), entities(labels, words, classes)
    there = [side.reshape(-1, *[1] * (answers.ndim - 1)) for side in there]
    both = mine[0] & there[0] & (mine[1] == there[1]) & (mine[2] == there[2])
    begins = words.cumsum() - words
    counts = (np.add.reduceat(side.astype(np.float64), begins, axis=0) for side in (both, mine[0], there[0]))
    return np.stack(np.broadcast_arrays(*counts), axis=-1)
