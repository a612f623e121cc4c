"""Records: rows of any table, read as they are asked for."""

import itertools
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from fastbert_core.errors import InputError

# How files and splits of a data set are called; the first is our own name.
SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}


@dataclass(frozen=True)
class Records:
    """A table whose rows are read as they are asked for, once: pairs of a number and a dict by column.

    name: as messages call it; columns: of the first row
    unit: what the numbers count, `line` of a file or `row`, from 1
    """

    name: str
    columns: tuple[str, ...]
    rows: Iterator[tuple[int, dict[str, Any]]]
    unit: str = "line"

    def at(self, number: int) -> str:
        """Where a row stands, for messages."""
        return f"{self.name}:{number}" if self.unit == "line" else f"{self.name}, row {number}"


def of_dicts(rows: Iterable[tuple[int, Any]], name: str, unit: str) -> Records:
    """Records of numbered dicts, the first of which names the columns."""
    rows = iter(rows)
    first = next(rows, None)
    if first is None:
        raise InputError(f"{name}: found no rows, expected at least one")

    def checked() -> Iterator[tuple[int, dict[str, Any]]]:
        for number, row in itertools.chain([first], rows):
            if not isinstance(row, Mapping):
                raise InputError(f"{records.at(number)}: found {type(row).__name__}, expected an object with columns")
            yield number, row

    columns = tuple(map(str, first[1])) if isinstance(first[1], Mapping) else ()
    records = Records(name, columns, checked(), unit)
    return records


def one_of(tables: dict[str, Records], *splits: str) -> Records:
    """The first of these splits that is there. Raises InputError, with those that are, if none is."""
    if found := [tables[split] for split in splits if split in tables]:
        return found[0]
    name = next(iter(tables.values())).name
    raise InputError(f"{name}: found the rows of {', '.join(tables)} alone, expected some of {' or '.join(splits)}")
