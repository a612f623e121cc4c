"""TSV files as UER writes them: `label<TAB>text_a[<TAB>text_b]` under a header, no quoting, plain, .gz, .xz or .bz2.

How a label reads, and what the two columns are called, is the task type's to say.
"""

from dataclasses import dataclass
from pathlib import Path

import numpy as np

from fastbert_core.errors import InputError, refused
from fastbert_core.files import UNREADABLE, readable
from fastbert_core.lines import PACKED, lines
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tasks import Task
from fastbert_core.text import is_blank


@dataclass(frozen=True)
class Split:
    """Texts in the file's order; `pairs` are the second texts, None where there are none; `labels` int64 [rows].

    Of other task types than single labels, `labels` are what the type's `array` makes, a row for each text.
    """

    texts: list[str]
    pairs: list[str] | None
    labels: np.ndarray

    def __len__(self) -> int:
        return len(self.texts)

    def take(self, rows: np.ndarray) -> "Split":
        """The rows of the given indices, in the order of the indices."""
        return Split(
            [self.texts[row] for row in rows],
            None if self.pairs is None else [self.pairs[row] for row in rows],
            self.labels[rows],
        )


def read_tsv(path: Path, task: Task) -> Split:
    """Read a whole TSV file, or raise InputError naming the file and the line at fault (the header is line 1).

    Columns are found by name, others than label, text_a and text_b are passed over, and quotes are plain characters.
    Only a line feed, with or without a carriage return before it, ends a line.

    Errors: a missing, empty or truncated file, bytes that are not UTF-8, a NUL, a header that lacks a column or has
    text_b for a task of single texts, a wrong number of fields, a label that the task type does not know, such as one
    that is no integer from 0 to N-1, a text without a visible character.
    """
    path = Path(path)
    if not readable(path):
        raise InputError(f"{path}: no such file")
    with refused(f"{path}: unreadable (", "), expected a file", UNREADABLE):
        file = PACKED.get(path.suffix.lower(), open)(path, "rb")
    rows = (line.removesuffix("\n").removesuffix("\r").split("\t") for _, line in lines(file, str(path), "utf-8"))
    kind = TASK_TYPES[task.type]
    first, label = kind.columns
    wanted = [first, "text_b"] if task.pair else [first]
    header = next(rows, [""])
    if header == [""]:
        raise InputError(f"{path}:1: found no header, expected the columns {label}, {', '.join(wanted)}")
    _check_header(path, header, [*wanted, label], task)
    *columns, label_column = (header.index(name) for name in (*wanted, label))

    texts: list[list[str]] = [[] for _ in wanted]
    labels = []
    for number, fields in enumerate(rows, start=2):
        if len(fields) != len(header):
            raise InputError(f"{path}:{number}: found {len(fields)} fields, expected {len(header)} as in the header")
        for name, column, values in zip(wanted, columns, texts, strict=True):
            if is_blank(fields[column]):
                raise InputError(f"{path}:{number}: found an empty {name}, expected a visible character")
            values.append(fields[column])
        place = f"{path}:{number}"
        labels.append(kind.label(fields[label_column], task, place))
        kind.check_text(fields[columns[0]], labels[-1], place)
    if not texts[0]:
        raise InputError(f"{path}: found a header and no rows, expected at least one")
    return Split(texts[0], texts[1] if task.pair else None, kind.array(labels, len(task.classes)))


def _check_header(path: Path, header: list[str], columns: list[str], task: Task) -> None:
    if any("\r" in name for name in header):
        found = "carriage returns within the line"
        raise InputError(f"{path}:1: found {found}, expected line feeds at the ends of lines; convert the file")
    found = ", ".join(repr(name) for name in header)
    for name in columns:
        if header.count(name) != 1:
            raise InputError(f"{path}:1: found the header {found}, expected one column {name!r}")
    if "text_b" in header and not task.pair:
        raise InputError(f"{path}:1: found a column 'text_b', expected none: {task.name} is a task of single texts")
