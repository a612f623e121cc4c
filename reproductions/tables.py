"""The tables of a results folder, `results/<profile>/*.csv`: whatever leaves or enters one has been checked."""

import csv
import io
import re
from collections.abc import Mapping, Sequence
from functools import cache
from itertools import zip_longest
from pathlib import Path

import pandas as pd
import pandera.errors
import pandera.pandas as pa

from fastbert_core.errors import InputError
from fastbert_core.files import within, write_whole
from reproductions.columns import TABLES, key_of


def table_path(results_dir: Path, name: str) -> Path:
    """Where the table `name`, one of TABLES, lies."""
    return within(results_dir, f"{name}.csv")


def read_table(results_dir: Path, name: str) -> pd.DataFrame:
    """Read a table. A missing number is NaN, or NA in a column of whole ones; a missing text is "".

    Raises InputError, naming file and line, for a file that is not there or no CSV in UTF-8, another header than
    columns.csv says, a bad value, and two rows that claim the same key.
    """
    path = table_path(results_dir, name)
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the table {name}")
    rows = csv_rows(path, list(TABLES[name]))
    return _checked(name, [row for _, row in rows], [f"{path}, line {line}" for line, _ in rows])


def read_or_empty(results_dir: Path, name: str) -> pd.DataFrame:
    """Read a table as `read_table` does; one without a file has no rows."""
    if table_path(results_dir, name).is_file():
        return read_table(results_dir, name)
    return pd.DataFrame(columns=list(TABLES[name]))


def write_table(results_dir: Path, name: str, frame: pd.DataFrame) -> Path:
    """Check `frame` as the table `name` and write it atomically; equal content gives equal bytes.

    Rows are sorted by their key, numbers plain and with the column's decimals, what is missing is empty.
    Raises InputError as `read_table` does; the line is the row's, counted in `frame` as it was given.
    """
    path = table_path(results_dir, name)
    frame = check_table(name, frame, str(path))
    if key := key_of(name):
        frame = frame.sort_values(key, key=_natural)
    write_whole(path, printed(frame, name).to_csv(index=False, lineterminator="\n"))
    return path


def write_tables(results_dir: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Write each table as `write_table` does, by its name, and return where they lie."""
    return [write_table(results_dir, name, table) for name, table in tables.items()]


def write_or_remove(results_dir: Path, tables: Mapping[str, pd.DataFrame]) -> list[Path]:
    """Write the tables that have rows, return where they lie, and remove what is stored of the others."""
    written = write_tables(results_dir, {name: table for name, table in tables.items() if not table.empty})
    for name in tables.keys() - {path.stem for path in written}:
        table_path(results_dir, name).unlink(missing_ok=True)
    return written


def check_table(name: str, frame: pd.DataFrame, where: str, places: Sequence[str] | None = None) -> pd.DataFrame:
    """`frame`, its columns in any order and its missing values of any kind, as `read_table` would give it.

    Raises InputError, beginning with `where`, as `write_table` does; places: where each row comes from, if elsewhere.
    """
    columns = list(TABLES[name])
    _check_header(sorted(frame, key=lambda column: columns.index(column) if column in columns else -1), columns, where)
    rows = frame[columns].astype(object).to_numpy().tolist()
    return _checked(name, rows, places or [f"{where}, line {line}" for line in range(2, len(rows) + 2)])


def printed(frame: pd.DataFrame, name: str) -> pd.DataFrame:
    """Rows of the table `name` with every value as its CSV has it: a text, "" where it is missing."""
    texts = {column: [about.printed(value) for value in frame[column]] for column, about in TABLES[name].items()}
    return pd.DataFrame(texts, index=frame.index, dtype=object)


def csv_rows(path: Path, header: Sequence[str]) -> list[tuple[int, list[str]]]:
    """The rows of a CSV file below `header`, each with the line of the file that it ends on.

    Raises InputError for a file that is not there or no CSV in UTF-8, has another header, or a row of another width.
    """
    try:
        reader = csv.reader(io.StringIO(path.read_bytes().decode("utf-8"), newline=""), strict=True)
        rows = [(reader.line_num, row) for row in reader]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise InputError(f"{path}: found {error}, expected a CSV in UTF-8") from None
    _check_header(rows[0][1] if rows else [], header, f"{path}, line 1")
    for line, row in rows:
        if len(row) != len(header):
            raise InputError(f"{path}, line {line}: found {len(row)} fields, expected {len(header)}")
    return rows[1:]


def _check_header(found: Sequence[str], expected: Sequence[str], where: str) -> None:
    for place, (ours, theirs) in enumerate(zip_longest(found, expected, fillvalue="none"), 1):
        if ours != theirs:
            raise InputError(f"{where}: column {place}: found {ours}, expected {theirs}")


@cache
def _schema(name: str) -> pa.DataFrameSchema:
    columns = {
        column: pa.Column(
            checks=pa.Check(about.holds, element_wise=True, error=about.expected),
            nullable=about.optional,
        )
        for column, about in TABLES[name].items()
    }
    return pa.DataFrameSchema(columns, unique=key_of(name) or None, report_duplicates="exclude_first")


def _checked(name: str, rows: list[list], places: Sequence[str]) -> pd.DataFrame:
    """The table of `rows`, texts or values in the order of its columns; InputError at the first that breaks it.

    places: where each row stands, for messages
    """
    columns = TABLES[name]
    cells = {column: [about.parsed(row[at]) for row in rows] for at, (column, about) in enumerate(columns.items())}
    frame = pd.DataFrame(cells, columns=list(columns), dtype=object)
    try:
        _schema(name).validate(frame, lazy=True)
    except pandera.errors.SchemaErrors as error:
        case = error.failure_cases.sort_values("index", kind="stable").iloc[0]
        row = int(case["index"])
        column, found, expected = case["column"], case["failure_case"], case["check"]
        if expected == "not_nullable":
            found, expected = "nothing", columns[column].expected
        elif expected == "multiple_fields_uniqueness":
            column, found, expected = _repeated(frame, key_of(name), row, places)
        raise InputError(f"{places[row]}: {column}: found {found}, expected {expected}") from None
    empty = {column: "" for column, about in columns.items() if about.type in ("text", "json")}
    kinds = {"number": "float64", "whole": "Int64"}
    return frame.fillna(empty).astype({column: kinds.get(about.type, "str") for column, about in columns.items()})


def _repeated(frame: pd.DataFrame, key: list[str], row: int, places: Sequence[str]) -> tuple[str, str, str]:
    """Of a row whose key an earlier one has: the columns, what is found, and what is expected."""
    keys = list(frame[key].itertuples(index=False, name=None))
    first = keys.index(keys[row])
    holder = [f"run {run}" for run in frame["run_id"]] if "run_id" in frame else ["a row"] * len(frame)
    found = f"{', '.join(map(str, keys[row]))} claimed by {holder[row]}"
    return ", ".join(key), found, f"one claim; {holder[first]} has it in {places[first]}"


def _natural(column: pd.Series) -> pd.Series:
    """Sort key under which `layer=2` comes before `layer=10`, and what is missing last; numbers are their own."""
    if pd.api.types.is_numeric_dtype(column):
        return column
    return column.map(lambda text: re.sub(r"\d+", lambda digits: digits[0].zfill(6), text) or None)
