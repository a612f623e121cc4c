"""A text's first tokens, at the cost of those alone however long the text is, and how two texts share the room."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tokenizers import Encoding, PreTokenizedString, Token, Tokenizer
from transformers import PreTrainedTokenizerBase

# Characters beside a word, at most, that have a say in how the tokenizer splits it.
MARGIN = 128
# Texts whose beginnings are tokenised at once. The tokenizer's own account of a token takes half a kilobyte.
STRETCH = 256


class Frame(NamedTuple):
    """What a tokenizer puts around its texts: the special tokens before, between and after, ids and segments.

    segments: of the special tokens, as `ids`; of_texts: of each text's own tokens
    """

    ids: list[list[int]]
    segments: list[list[int]]
    of_texts: list[int]

    @property
    def special(self) -> int:
        """How many special tokens there are."""
        return sum(map(len, self.ids))

    @property
    def least(self) -> int:
        """The smallest `max_tokens`: the special tokens, and a token of each text."""
        return self.special + len(self.of_texts)


def plain(tokenizer: PreTrainedTokenizerBase) -> Tokenizer:
    """The backend of a fast tokenizer, told neither to cut nor to pad, which it keeps from one call to the next."""
    backend = tokenizer.backend_tokenizer
    if backend.truncation is not None:
        backend.no_truncation()
    if backend.padding is not None:
        backend.no_padding()
    if backend.encode_special_tokens != tokenizer.split_special_tokens:
        backend.encode_special_tokens = tokenizer.split_special_tokens
    return backend


def frame(tokenizer: PreTrainedTokenizerBase, pair: bool) -> Frame:
    """What `tokenizer` puts around a text, or around a pair of texts."""
    whole = plain(tokenizer).post_process(*(_one_token() for _ in range(1 + pair)))
    places = [place for place, special in enumerate(whole.special_tokens_mask) if not special]
    bounds = list(zip([0, *(place + 1 for place in places)], [*places, len(whole)], strict=True))
    ids, segments = ([values[start:end] for start, end in bounds] for values in (whole.ids, whole.type_ids))
    return Frame(ids, segments, [whole.type_ids[place] for place in places])


def _one_token() -> Encoding:
    text = PreTokenizedString("x")
    text.tokenize(lambda word: [Token(0, word, (0, 1))])
    return text.to_encoding(word_idx=0)


def first_tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], most: int) -> Iterator[list[int]]:
    """The ids of each text's first `most` tokens, and of one more where there are more.

    No more of a text is read than that takes. Words beside the place where reading ends may be split otherwise than in
    the whole text, so those that end within the last MARGIN characters do not count. Where the tokenizer cuts on the
    left, its last tokens are meant, and a text is read whole.
    """
    backend, size = plain(tokenizer), max(8 * most, 4 * MARGIN)  # of English, a token takes five characters
    if tokenizer.truncation_side == "left":
        yield from (backend.encode(text, add_special_tokens=False).ids[-most - 1 :] for text in texts)
        return
    for start in range(0, len(texts), STRETCH):
        stretch = texts[start : start + STRETCH]
        windows = backend.encode_batch([text[:size] for text in stretch], add_special_tokens=False)
        for text, window in zip(stretch, windows, strict=True):
            end = size
            while end < len(text) and _first_ending_beyond(end - MARGIN, window.offsets, window.word_ids) <= most:
                end *= 2
                window = backend.encode(text[:end], add_special_tokens=False)
            yield window.ids[: most + 1]


def _first_ending_beyond(place: int, offsets: list[tuple[int, int]], words: list[int | None]) -> int:
    """Index of the first token of the first word that ends beyond the character `place`."""
    at = next((index for index, (_, end) in enumerate(offsets) if end > place), len(offsets))
    while 0 < at < len(words) and words[at] == words[at - 1]:
        at -= 1
    return at


def shares(counts: Sequence[int], characters: Sequence[int], room: int) -> list[int]:
    """How many tokens each of one or two texts keeps of `room`: as tokenizers' `longest_first` cuts, to the token.

    A text that fits into half of the room is kept whole. Else each gets half; one that is left over goes to the longer,
    where both have more tokens than the room to the one of more `characters`: nobody has counted their tokens.

    counts: tokens of each text, none above `room` + 1, which stands for any more
    """
    if sum(counts) <= room:
        return list(counts)
    if len(counts) == 1:
        return [room]
    half = room // 2
    if min(counts) <= half:
        return [count if count <= half else room - min(counts) for count in counts]
    first, second = counts if min(counts) <= room else characters
    more = room % 2 and first > second
    return [half + more, room - half - more]
