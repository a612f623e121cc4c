"""Texts that come from an iterator: checked one by one, read a bounded stretch at a time."""

from collections.abc import Iterable, Iterator
from itertools import islice, zip_longest

from fastbert_core.errors import InputError

TextPair = tuple[str, str | None]
_END = object()


def paired(texts: Iterable[str], pairs: Iterable[str] | None) -> Iterator[TextPair]:
    """Each text with its second text, or with None where there are no pairs.

    Raises InputError at the sample, counted from 1, that is no text or has no partner.
    """
    both = ((text, None) for text in texts) if pairs is None else zip_longest(texts, pairs, fillvalue=_END)
    for number, (text, pair) in enumerate(both, start=1):
        _check(text, "texts", number)
        if pairs is not None:
            _check(pair, "pairs", number)
        yield text, pair


def _check(value: object, name: str, number: int) -> None:
    if value is _END:
        raise InputError(f"{name}: found {number - 1}, expected as many texts as pairs")
    if not isinstance(value, str):
        raise InputError(f"{name}: found {type(value).__name__} at sample {number}, expected a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name}: found half a surrogate pair at sample {number}, expected a text") from None


def stretches(items: Iterable[TextPair], size: int) -> Iterator[list[TextPair]]:
    """Cut into lists of `size` items, the last one shorter; if `items` raises, what came before is handed out first."""
    items = iter(items)
    while True:
        stretch, error = [], None
        try:
            for item in islice(items, size):  # not list(): what has been read must outlive an error
                stretch.append(item)
        except Exception as caught:
            error = caught
        if stretch:
            yield stretch
        if error is not None:
            raise error
        if len(stretch) < size:
            return
