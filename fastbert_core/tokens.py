"""A text's first tokens, at the cost of those alone however long the text is, and how two texts share the room."""

import math
from collections.abc import Iterator, Sequence
from typing import NamedTuple

from tokenizers import Encoding, PreTokenizedString, Token, Tokenizer
from transformers import PreTrainedTokenizerBase

# Characters beside a word, at most, that have a say in how the tokenizer splits it.
MARGIN = 128
# Texts whose first windows are tokenised at once. The tokenizer's own account of a token takes half a kilobyte.
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


class Tokens:
    """The tokens of one text, of which no more are made than are asked for; `count`: those made so far.

    most: how many will be taken at most, of the text's first tokens or, if `from_left` are cut, of its last
    """

    def __init__(self, pieces: Iterator[list[int]], most: int, from_left: bool) -> None:
        self.count = 0
        self._pieces, self._most, self._from_left = pieces, most, from_left
        self._ids: list[int] = []

    def read(self) -> bool:
        """Make some more; False at the text's end."""
        piece = next(self._pieces, None)
        if piece is None:
            return False
        self.count += len(piece)
        if self._from_left:
            self._ids = (self._ids + piece)[-self._most :]
        else:
            self._ids += piece[: self._most - len(self._ids)]
        return True

    def more_than(self, count: float) -> bool:
        """Whether the text has more than `count` tokens."""
        while self.count <= count and self.read():
            pass
        return self.count > count

    def take(self, count: int) -> list[int]:
        """The ids of the `count` tokens that are kept, no more than `most` or than there are."""
        if not self._from_left:
            return self._ids[:count]
        self.more_than(math.inf)
        return self._ids[-count:]


def tokens(tokenizer: PreTrainedTokenizerBase, texts: Sequence[str], most: int) -> Iterator[Tokens]:
    """The Tokens of each text, of which no more than `most` will be taken."""
    backend, from_left = plain(tokenizer), tokenizer.truncation_side == "left"
    size = max(8 * most, 4 * MARGIN)  # of English, a token takes five characters
    for start in range(0, len(texts), STRETCH):
        stretch = texts[start : start + STRETCH]
        windows = backend.encode_batch([text[:size] for text in stretch], add_special_tokens=False)
        for text, window in zip(stretch, windows, strict=True):
            yield Tokens(_pieces(backend, text, size, window), most, from_left)


def _pieces(backend: Tokenizer, text: str, size: int, window: Encoding) -> Iterator[list[int]]:
    """The ids of a text, window by window of at least `size` characters; `window` is the first one, encoded.

    Where a window is cut, the words beside the cut may be split otherwise than in the whole text. So each word is taken
    from a window that shows MARGIN more characters on either side of it.
    """
    left, right, done = 0, size, -1
    while right < len(text):
        limit = right - MARGIN
        offsets, words = window.offsets, window.word_ids
        first, end = (_first_ending_beyond(place - left, offsets, words) for place in (done, limit))
        yield window.ids[first:end]
        done = limit
        if end:
            left = max(left, left + offsets[end - 1][1] - MARGIN)
        right = left + max(size, 2 * (right - left))  # doubled where a single word fills the window
        window = backend.encode(text[left:right], add_special_tokens=False)
    first = 0 if done < 0 else _first_ending_beyond(done - left, window.offsets, window.word_ids)
    yield window.ids[first:]


def _first_ending_beyond(place: int, offsets: list[tuple[int, int]], words: list[int | None]) -> int:
    """Index of the first token of the first word that ends beyond the character `place`."""
    at = next((index for index, (_, end) in enumerate(offsets) if end > place), len(offsets))
    while 0 < at < len(words) and words[at] == words[at - 1]:
        at -= 1
    return at


def shares(texts: Sequence[Tokens], room: int) -> list[int]:
    """How many tokens each of one or two texts keeps of `room`: as tokenizers' `longest_first` cuts, to the token.

    A text that fits into half of the room is kept whole. Else each gets half; one that is left over goes to the longer.
    """
    for text in texts:
        text.more_than(room)
    counts = [text.count for text in texts]
    if sum(counts) <= room:
        return counts
    if len(texts) == 1:
        return [room]
    half = room // 2
    if min(counts) <= half:
        return [count if count <= half else room - min(counts) for count in counts]
    first = room % 2 and _is_longer(*texts)
    return [half + first, room - half - first]


def _is_longer(first: Tokens, second: Tokens) -> bool:
    """Whether the first text has more tokens. Both are read on until the shorter ends."""
    while True:
        behind = first if first.count <= second.count else second
        if not behind.read():
            return behind is second
