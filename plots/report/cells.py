"""Tables as the template shows them: texts in cells, how each is set, and footnotes that the page gives once."""

from collections.abc import Sequence
from string import Formatter
from typing import NamedTuple

import pandas as pd

VERDICTS = ("verdict", "verdict_relative")
TELLING = {"not worse": "good", "holds": "good", "worse": "bad", "fails": "bad"}


class Cell(NamedTuple):
    """A text and its classes for the style sheet: number, word (which no line breaks), verdict good."""

    text: str = ""
    kind: str = ""


class Table(NamedTuple):
    """headings, and rows of as many cells; note: the number of a footnote to all of it, or None"""

    caption: str
    headings: list[str]
    rows: list[tuple[Cell, ...]]
    note: int | None = None


class Notes(dict[str, int]):
    """Footnotes in the order of their numbers, by text the number: `notes[text]` gives a new one the next."""

    def __missing__(self, text: str) -> int:
        self[text] = len(self) + 1
        return self[text]


def table(texts: pd.DataFrame, columns: dict[str, str], caption: str, notes: Sequence[Sequence[int]] = ()) -> Table:
    """The rows of `texts` (all of them str) under a caption.

    columns: by heading what a cell shows, a form like "{accuracy} %"; the cell is empty where a value in it is missing,
        and a column that would be empty is left out
    notes: by row the numbers of its footnotes
    """
    rows = texts.to_dict("records")
    cells = {heading: [_cell(form, row) for row in rows] for heading, form in columns.items()}
    if any(notes):
        cells["note"] = [Cell(", ".join(map(str, numbers)), "word") for numbers in notes]
    cells = {heading: column for heading, column in cells.items() if any(cell.text for cell in column)}
    return Table(caption, [*cells], [*zip(*cells.values(), strict=True)])


def _cell(form: str, row: dict[str, str]) -> Cell:
    fields = [field for _, field, _, _ in Formatter().parse(form) if field]
    if not all(row[field] for field in fields):
        return Cell()
    text = form.format_map(row)
    if fields[0] in VERDICTS:
        return Cell(text, f"verdict {TELLING.get(text, '')}".strip())
    if _is_number(row[fields[0]]):
        return Cell(text, "number")
    return Cell(text, "" if " " in text else "word")


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True
