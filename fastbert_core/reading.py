"""Rows of any table: CSV, TSV, JSONL, Parquet, lines of text, a Hugging Face data set, a DataFrame, a hub id."""

import csv
import itertools
import json
import os
import sys
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, BinaryIO

from fastbert_core.errors import InputError, reason, refused
from fastbert_core.files import UNREADABLE, expanded, readable
from fastbert_core.lines import PACKED, lines

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt")
RETURNS = "found a carriage return within the line, expected line feeds at the ends of lines; convert the file"
# How files and splits of a data set are called; the first is our own name.
SPLIT_NAMES = {"train": ("train",), "dev": ("dev", "validation", "valid", "val"), "test": ("test",)}
LONGEST_FIELD = 2**24  # characters; what is longer is a quote that nothing closes
DELIMITERS = ",;\t"  # of CSV, where the header has them most often


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


def read_tables(data: Any, encoding: str | None = None) -> dict[str, Records]:
    """The tables of `data` by our names of the splits: train, dev, test; what is one table alone is `train`.

    data: a file of one of KINDS, perhaps packed; a folder with such files, or saved by `datasets`; a hub id
        (`owner/name`, perhaps `owner/name:configuration`); `-`, lines of text at standard input; a Dataset,
        DatasetDict, DataFrame, mapping of columns, list of dicts or iterable of texts
    encoding: of text files, where it is not UTF-8 and no byte-order mark tells it

    Raises InputError, naming file and line, for what cannot be read.
    """
    if not isinstance(data, str | os.PathLike):
        return _of_python(data)
    if data == "-":
        return {"train": read_lines(sys.stdin.buffer, "standard input", encoding=encoding)}
    path = expanded(data)
    if path.is_dir():
        return _of_folder(path, encoding)
    if readable(path):
        return {"train": read_file(path, encoding)}
    if path.suffix.lower() in (*KINDS, *PACKED) or str(data).startswith((os.sep, ".", "~")):
        raise InputError(f"{data}: no such file or folder")
    from fastbert_core import hub

    return _splits(hub.load_named(str(data)), f"hub {data}")


def read_file(path: str | Path, encoding: str | None = None) -> Records:
    """The rows of one file, or of the one at an fsspec URL, such as `s3://bucket/texts.jsonl`.

    What it is follows from how its name ends, and a pipe is lines of text. Raises InputError as `read_tables` does.
    """
    name, path = str(path), Path(path)
    packing = PACKED.get(path.suffix.lower())
    kind = Path(path.stem if packing else path).suffix.lower()
    if "://" in name:
        import fsspec

        with refused(f"{name}: cannot be opened (", "), expected an fsspec URL of a file"):
            file = fsspec.open(name, "rb", compression="infer").open()
    elif not readable(path):
        raise InputError(f"{name}: no such file")
    elif kind not in KINDS and path.is_file():
        raise InputError(f"{name}: found a name that ends in {kind or 'nothing'}, expected one of {', '.join(KINDS)}")
    else:
        file = (packing or open)(path, "rb")
    return _parquet(file, name) if kind == ".parquet" else read_lines(file, name, kind, encoding)


def read_lines(file: BinaryIO, name: str, kind: str = ".txt", encoding: str | None = None) -> Records:
    """The rows of an open binary file: `kind` is one of KINDS but Parquet, and anything else means lines of text."""
    found = lines(file, name, encoding)
    if kind in (".csv", ".tsv"):
        return _separated(found, name, kind)
    if kind in (".jsonl", ".ndjson", ".json"):
        return _json(found, name)
    return Records(name, ("text",), _texts(found, name))


def _texts(lines: Iterator[tuple[int, str]], name: str) -> Iterator[tuple[int, dict[str, str]]]:
    """Each line as a text. A file without a line feed is one text, unless carriage returns stand in their place."""
    for number, line in lines:
        text = line.rstrip("\n").removesuffix("\r")
        if number == 1 and "\r" in text and not line.endswith("\n"):
            raise InputError(f"{name}:1: {RETURNS}")
        yield number, {"text": text}


def _separated(lines: Iterator[tuple[int, str]], name: str, kind: str) -> Records:
    """CSV, whose quotes may hold anything, or TSV, whose quotes are plain characters."""
    first = next(lines, None)
    if first is None:
        raise InputError(f"{name}:1: found nothing, expected a line with the names of the columns")
    csv.field_size_limit(LONGEST_FIELD)
    if kind == ".tsv":
        options: dict[str, Any] = {"delimiter": "\t", "quoting": csv.QUOTE_NONE}
    else:
        options = {"delimiter": max(DELIMITERS, key=first[1].count), "strict": True}
    reader = csv.reader((line for _, line in itertools.chain([first], lines)), **options)
    rows = _records(reader, name)
    header = [column.strip() for column in next(rows, (1, []))[1]]
    if not header:
        raise InputError(f"{name}:1: found empty lines alone, expected one with the names of the columns")
    if twice := [column for column in header if column and header.count(column) > 1]:
        raise InputError(f"{name}:1: found two columns {twice[0]!r}, expected different names")
    width = len(header)

    def dicts() -> Iterator[tuple[int, dict[str, str]]]:
        for number, fields in rows:
            if len(fields) != width:
                remedy = "quote texts that hold the separator" if kind == ".csv" else "no text may hold a tab"
                found = f"{name}:{number}: found {len(fields)} fields, expected {width} as in the header"
                raise InputError(f"{found}; {remedy}")
            yield number, dict(zip(header, fields, strict=True))

    return Records(name, tuple(header), dicts())


def _records(reader: Any, name: str) -> Iterator[tuple[int, list[str]]]:
    """The reader's rows with the line that each begins on; empty lines are passed over."""
    while True:
        number = reader.line_num + 1
        try:
            fields = next(reader, None)
        except csv.Error as error:
            raise InputError(f"{name}:{number}: {_told(str(error))}") from error
        if fields is None:
            return
        if fields:
            yield number, fields


def _told(error: str) -> str:
    """What the csv module found wrong, and what to do about it."""
    if "new-line character" in error:
        return RETURNS
    if "unexpected end" in error or "field limit" in error:
        return "found a quote that nothing closes, expected one; write a quote within a field twice"
    return f"found a quote within a quoted field ({error}), expected it twice there"


def _json(lines: Iterator[tuple[int, str]], name: str) -> Records:
    """An object a line, or one list of objects."""
    first = next(((at, line) for at, line in lines if line.strip()), None)
    if first is None:
        raise InputError(f"{name}:1: found nothing, expected an object a line")
    if first[1].lstrip().startswith("["):
        found = _parsed(first[1] + "".join(line for _, line in lines), name, first[0])
        return _dicts(enumerate(found, start=1), name, "row")
    every = itertools.chain([first], lines)
    parsed = ((at, _parsed(line.strip(), name, at)) for at, line in every if line.strip())
    return _dicts(parsed, name, "line")


def _parsed(text: str, name: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        number += getattr(error, "lineno", 1) - 1
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        told = getattr(error, "msg", reason(error))
        raise InputError(f"{name}:{number}: found no JSON ({told}{column}), expected an object with columns") from error


def _dicts(rows: Iterable[tuple[int, Any]], name: str, unit: str) -> Records:
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


def _parquet(raw: BinaryIO, name: str) -> Records:
    from pyarrow import ArrowException, parquet

    wrong = ArrowException, *UNREADABLE
    with refused(f"{name}: cannot be read (", "), expected a Parquet file", wrong):
        file = parquet.ParquetFile(raw)
        columns = tuple(file.schema_arrow.names)

    def rows() -> Iterator[dict[str, Any]]:
        with raw, refused(f"{name}: cannot be read (", "), expected a whole Parquet file", wrong):
            for batch in file.iter_batches(1024):
                yield from batch.to_pylist()

    return Records(name, columns, enumerate(rows(), start=1), "row")


def _of_folder(folder: Path, encoding: str | None) -> dict[str, Records]:
    if (folder / "dataset_info.json").is_file() or (folder / "dataset_dict.json").is_file():
        from fastbert_core import hub

        return _splits(hub.load_saved(folder), str(folder))
    tables = {}
    for split, names in SPLIT_NAMES.items():
        files = [path for path in sorted(folder.iterdir()) if path.name.split(".")[0] in names and is_table(path.name)]
        if len(files) > 1:
            raise InputError(f"{folder}: found {files[0].name} and {files[1].name}, expected one file of each split")
        if files:
            tables[split] = read_file(files[0], encoding)
    if tables:
        return tables
    from fastbert_core import hub

    try:
        loaded = hub.load_named(str(folder))
    except InputError as error:
        cause: BaseException = error
        while cause.__cause__ is not None:  # the library's own words are the last ones
            cause = cause.__cause__
        expected = f"such files ({', '.join(KINDS)}), or a data set of Hugging Face's form"
        found = f"{folder}: found no file called train, dev or test, nor other data ({reason(cause)})"
        raise InputError(f"{found}, expected {expected}") from error
    return _splits(loaded, str(folder))


def one_of(tables: dict[str, Records], *splits: str) -> Records:
    """The first of these splits that is there. Raises InputError, with those that are, if none is."""
    if found := [tables[split] for split in splits if split in tables]:
        return found[0]
    name = next(iter(tables.values())).name
    raise InputError(f"{name}: found the rows of {', '.join(tables)} alone, expected some of {' or '.join(splits)}")


def is_table(path: str) -> bool:
    """Whether a name ends as those of files do that can be read, perhaps packed."""
    return any(path.lower().removesuffix(packing).endswith(KINDS) for packing in ("", *PACKED))


def _of_python(data: Any) -> dict[str, Records]:
    if _is_dataset(data) or (isinstance(data, Mapping) and data and all(map(_is_dataset, data.values()))):
        return _splits(data, "data")
    if isinstance(data, Mapping):
        import pandas as pd

        try:
            data = pd.DataFrame(data, dtype=object)  # its strings would refuse half a surrogate pair unnamed
        except ValueError as error:
            raise InputError(
                f"data: found columns that make no table ({error}), expected lists of one length"
            ) from None
    if hasattr(data, "itertuples"):
        columns = tuple(map(str, data.columns))
        if twice := sorted({column for column in columns if columns.count(column) > 1}):
            raise InputError(f"data: found the column {twice[0]} twice, expected each once")
        cells = data.astype(object).where(data.notna(), None).itertuples(index=False, name=None)
        rows = (_plain(dict(zip(columns, row, strict=True))) for row in cells)
        return {"train": Records("data", columns, enumerate(rows, start=1), "row")}
    if not isinstance(data, Iterable):
        raise InputError(f"data: found {type(data).__name__}, expected a file, a data set, a table or texts")
    rows = ({"text": row} if isinstance(row, str) else _plain(row) for row in data)
    return {"train": _dicts(enumerate(rows, start=1), "data", "row")}


def _plain(row: Any) -> Any:
    """A row whose arrays are lists, and whose numbers are Python's."""
    if not isinstance(row, Mapping):
        return row
    return {name: cell.tolist() if hasattr(cell, "tolist") else cell for name, cell in row.items()}


def _is_dataset(data: Any) -> bool:
    return hasattr(data, "column_names") and hasattr(data, "features")


def _splits(loaded: Any, name: str) -> dict[str, Records]:
    """The tables of a DatasetDict, or of a Dataset alone."""
    if _is_dataset(loaded):
        return {"train": _of_dataset(loaded, name)}
    tables = {
        split: _of_dataset(loaded[found[0]], f"{name}, {found[0]}")
        for split, names in SPLIT_NAMES.items()
        if (found := [known for known in names if known in loaded])
    }
    if "train" not in tables:
        raise InputError(f"{name}: found the splits {', '.join(loaded)}, expected one called train")
    return tables


def _of_dataset(rows: Any, name: str) -> Records:
    """The rows of a datasets.Dataset; numbers of classes, alone or in lists, become the names that it gives them."""
    rows = rows.with_format(None)  # else cells may be arrays or tensors
    if rows.column_names is None:  # a stream, which need not know them
        return _dicts(enumerate(rows, start=1), name, "row")
    within = {column: getattr(feature, "feature", feature) for column, feature in rows.features.items()}
    named: dict[str, Callable] = {
        column: feature.int2str for column, feature in within.items() if type(feature).__name__ == "ClassLabel"
    }

    def dicts() -> Iterator[dict[str, Any]]:
        for row in rows:
            for column, name_of in named.items():
                row[column] = _named(row[column], name_of)
            yield row

    return Records(name, tuple(rows.column_names), enumerate(dicts(), start=1), "row")


def _named(value: Any, name_of: Callable) -> Any:
    """The name of a class, None where there is none; of a list, those of all."""
    if isinstance(value, list):
        return [_named(one, name_of) for one in value]
    return None if value is None or value < 0 else name_of(value)
