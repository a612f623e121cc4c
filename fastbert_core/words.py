"""Sentences whose words are known, to token ids: where each word begins is kept, for its tag is said there."""

from array import array
from collections.abc import Sequence

import numpy as np
from transformers import PreTrainedTokenizerBase

from fastbert_core.encoding import Encoded, Words
from fastbert_core.errors import InputError
from fastbert_core.tokens import frame, plain


def encode_words(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], max_tokens: int = 128) -> Encoded:
    """Tokenise sentences of words that single spaces separate, truncated to `max_tokens`.

    Each word is split into tokens on its own, one that the tokenizer makes nothing of counts as unknown. Raises
    InputError if `max_tokens` has no room for a token, or the tokenizer knows no token for what is unknown.
    """
    around = frame(tokenizer, pair=False)
    if max_tokens < around.least:
        raise InputError(f"max_tokens: found {max_tokens}, expected at least {around.least}, with one of each text")
    room, before = max_tokens - around.special, len(around.ids[0])
    # Within a sentence a word has a space before it, as some tokenizers tell.
    sentences = [[f" {word}" if at else word for at, word in enumerate(text.split(" "))] for text in texts]
    pieces = _pieces(tokenizer, {word for words in sentences for word in words})
    ids, firsts, lengths, counts, truncated = array("i"), array("i"), array("i"), array("i"), []
    for words in sentences:
        kept: list[int] = []
        for word in words:
            firsts.append(before + len(kept) if len(kept) < room else -1)
            kept += pieces[word]
        counts.append(len(words))
        truncated.append(len(kept) > room)
        row = [*around.ids[0], *kept[:room], *around.ids[1]]
        lengths.append(len(row))
        ids.extend(row)
    offsets, word_offsets = (np.concatenate([[0], np.cumsum(sizes, dtype=np.int64)]) for sizes in (lengths, counts))
    words = Words(np.array(firsts, np.int32), word_offsets)
    return Encoded(np.array(ids, np.int32), None, offsets, np.array(truncated, bool), words)


def _pieces(tokenizer: PreTrainedTokenizerBase, words: set[str]) -> dict[str, list[int]]:
    """The tokens of each word."""
    listed = sorted(words)
    found = plain(tokenizer).encode_batch(listed, add_special_tokens=False)
    unknown = tokenizer.unk_token_id
    pieces = {word: encoding.ids or [unknown] for word, encoding in zip(listed, found, strict=True)}
    if unknown is None and any(of_word == [None] for of_word in pieces.values()):
        raise InputError("tokenizer: found a word without tokens and no unknown token, expected one")
    return pieces
