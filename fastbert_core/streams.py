"""Texts that come from an iterator: checked one by one, read a bounded stretch at a time."""

from collections.abc import Iterable, Iterator, Mapping
from itertools import islice, zip_longest

from fastbert_core.errors import InputError
from fastbert_core.text import is_blank

TextPair = tuple[str, str | None]
_END = object()


def paired(texts: Iterable[str], pairs: Iterable[str] | None) -> Iterator[TextPair]:
    """Each text with its second text, or with None where there are no pairs.

    Raises InputError at once for what does not hold texts, as tables and mappings, which would give their keys; then at
    the sample, counted from 1, that is no text, has nothing to be seen, or has no partner.
    """
    _check_holder(texts, "texts")
    if pairs is not None:
        _check_holder(pairs, "pairs")
    return _paired(texts, pairs)


def _paired(texts: Iterable[str], pairs: Iterable[str] | None) -> Iterator[TextPair]:
    both = ((text, None) for text in texts) if pairs is None else zip_longest(texts, pairs, fillvalue=_END)
    for number, (text, pair) in enumerate(both, start=1):
        _check(text, "texts", number)
        if pairs is not None:
            _check(pair, "pairs", number)
        yield text, pair


def _check_holder(values: object, name: str) -> None:
    found = f"{name}: found {type(values).__name__}"
    if isinstance(values, Mapping) or hasattr(values, "columns"):
        raise InputError(f"{found}, expected texts, such as the list of one of its columns or values")
    if isinstance(values, bytes | bytearray) or not _iterates(values):
        raise InputError(f"{found}, expected a text, or a list or iterator of texts")


def _iterates(values: object) -> bool:
    try:
        iter(values)
    except TypeError:
        return False
    return True


def _check(value: object, name: str, number: int) -> None:
    if value is _END:
        raise InputError(f"{name}: found {number - 1}, expected as many texts as pairs")
    if not isinstance(value, str):
        raise InputError(f"{name}: found {type(value).__name__} at sample {number}, expected a text")
    try:
        value.encode()
    except UnicodeEncodeError:
        raise InputError(f"{name}: found half a surrogate pair at sample {number}, expected a text") from None
    if is_blank(value):
        raise InputError(f"{name}: found nothing to be seen at sample {number}, expected a text")


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
