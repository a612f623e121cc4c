"""A CSV file as rows of text that know their lines."""

import csv
import io
from pathlib import Path

from fastbert_core.errors import InputError

Rows = list[tuple[int, list[str]]]


def csv_rows(path: Path) -> Rows:
    """The header and the rows, each with the line of the file that it ends on.

    Raises InputError for a file that is no CSV in UTF-8.
    """
    try:
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True)
        return [(reader.line_num, row) for row in reader]
    except (UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found {error}, expected a CSV in UTF-8") from None


def check_widths(path: Path, rows: Rows) -> None:
    """Raises InputError, naming the line, for a row of another width than the header."""
    for line, row in rows[1:]:
        if len(row) != len(rows[0][1]):
            raise InputError(f"{path}, line {line}: found {len(row)} fields, expected {len(rows[0][1])}")
