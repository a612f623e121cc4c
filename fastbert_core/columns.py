"""Which columns of a table hold text and label, and the text in them."""

import re
from collections.abc import Sequence
from typing import Any, NamedTuple

from fastbert_core.errors import InputError
from fastbert_core.records import Records
from fastbert_core.task_types import SINGLE, TaskType
from fastbert_core.text import is_blank

# Usual names of columns, compared without case, spaces, dashes and underscores; the first that is there is taken.
PAIRS = (
    ("texta", "textb"),
    ("text1", "text2"),
    ("sentencea", "sentenceb"),
    ("sentence1", "sentence2"),
    ("premise", "hypothesis"),
    ("question1", "question2"),
    ("query", "passage"),
)
TEXTS = (
    *("text", "texta", "sentence", "review", "comment", "content", "document", "tweet", "message", "body", "question"),
    *("query", "utterance", "description", "summary", "headline", "title"),
)
LABELS = (
    *("label", "labels", "class", "category", "sentiment", "target", "intent", "topic", "emotion", "rating", "stars"),
    *("goldlabel", "y"),
)


class Columns(NamedTuple):
    """The columns that are read; `pair` and `label` are None where there are none."""

    text: str
    pair: str | None = None
    label: str | None = None


def choose_columns(
    records: Records,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    labelled: bool = True,
    kind: TaskType = SINGLE,
) -> Columns:
    """The columns to read: those that are named, else the usual ones; of words and their tags, those of the type.

    labelled: whether there must be labels. Raises InputError, with the columns that there are, if one is not found.
    """
    usual = {re.sub(r"[\s_-]", "", column).casefold(): column for column in reversed(records.columns)}
    for option, column in (("--text", text), ("--pair", pair), ("--label", label)):
        if column is not None and column not in records.columns:
            raise InputError(f"{records.name}: found {listed(records)}, expected {column!r}, as {option} says")
    if kind.of_words:
        if pair is not None:
            raise InputError(f"--pair: found {pair!r} with words and their tags, expected none")
        own = [name if name in records.columns else None for name in kind.columns]
        text, label = text or own[0], label or own[1]
    if label is None:
        label = next((usual[name] for name in LABELS if name in usual), None)
    if label is None and labelled:
        remedy = "; --label COLUMN names it" if len(records.columns) > 1 else ""
        expected = f"expected one that holds the class, such as label{remedy}"
        raise InputError(f"{records.name}: found {listed(records)}, {expected}")
    if text is None and pair is None and not kind.of_words:
        text, pair = next(((usual[a], usual[b]) for a, b in PAIRS if a in usual and b in usual), (None, None))
    others = [column for column in records.columns if column not in (label, pair)]
    if text is None:
        named = (usual[name] for name in TEXTS if usual.get(name) in others)
        text = next(named, others[0] if len(others) == 1 else None)
    if text is None:
        expected = "expected one that holds the text, such as text; --text COLUMN names it"
        raise InputError(f"{records.name}: found {listed(records)}, {expected}")
    return Columns(text, pair, label)


def listed(records: Records) -> str:
    """The columns that there are, for messages."""
    return f"the columns {', '.join(map(repr, records.columns)) or 'none'}"


def told(columns: Columns, there: Sequence[str]) -> str:
    """Which of the columns that are there are read, and as what."""
    read = [("text", columns.text), ("second text", columns.pair), ("label", columns.label)]
    said = ", ".join(f"{what} from {column!r}" for what, column in read if column is not None)
    left = [column for column in there if column not in columns]
    return f"{said}; not read: {', '.join(left)}" if left else said


def text_of(row: dict[str, Any], column: str, place: str, of_words: bool = False) -> str:
    """The text in a row's column. Raises InputError, beginning with `place`, if it is none or nothing can be seen.

    of_words: whether each word of a list will have a tag of its own, so that none may hold a space
    """
    text = row.get(column)
    if text is None or text != text:  # NaN
        raise InputError(f"{place}: found no {column}, expected a text; delete the row, or fill it in")
    if isinstance(text, list | tuple) and text and all(isinstance(word, str) for word in text):
        if of_words and (spaced := [word for word in text if " " in word]):
            raise InputError(f"{place}: found a space in the word {spaced[0]!r} of {column}, expected none")
        text = " ".join(text)
    if not isinstance(text, str):
        raise InputError(f"{place}: found the {column} {text!r}, expected a text; --text names another column")
    try:
        text.encode()
    except UnicodeEncodeError:  # as JSON may escape it, of an emoji cut in two
        raise InputError(f"{place}: found half a surrogate pair in {column}, expected a text; delete it") from None
    if is_blank(text):
        raise InputError(f"{place}: found an empty {column}, expected a visible character; delete the row")
    return text


def check_pairs(found: bool, expected: bool | None, name: str) -> None:
    """Raise InputError, beginning with `name`, unless there are pairs where a model expects them, and nowhere else.

    expected: None where nobody knows
    """
    if expected not in (None, found):
        single = "single texts; --text COLUMN names theirs"
        wanted = "pairs of texts; --pair COLUMN names the second" if expected else single
        raise InputError(f"{name}: found {'pairs' if found else 'single texts'}, expected {wanted}")
