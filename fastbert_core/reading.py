"""Rows of any table: CSV, TSV, JSONL, Parquet, lines of text, a Hugging Face data set, a DataFrame, a hub id."""

import csv
import itertools
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any, BinaryIO

from fastbert_core.errors import InputError, reason, refused
from fastbert_core.files import UNREADABLE, expanded, readable
from fastbert_core.lines import PACKED, lines
from fastbert_core.python_tables import of_python, splits_of
from fastbert_core.records import SPLIT_NAMES, Records, of_dicts

KINDS = (".csv", ".tsv", ".jsonl", ".ndjson", ".json", ".parquet", ".txt")
RETURNS = "found a carriage return within the line, expected line feeds at the ends of lines; convert the file"
LONGEST_FIELD = 2**24  # characters; what is longer is a quote that nothing closes
DELIMITERS = ",;\t"  # of CSV, where the header has them most often


def read_tables(data: Any, encoding: str | None = None) -> dict[str, Records]:
    """The tables of `data` by our names of the splits: train, dev, test; what is one table alone is `train`.

    data: a file of one of KINDS, perhaps packed; a folder with such files, or saved by `datasets`; a hub id
        (`owner/name`, perhaps `owner/name:configuration`); `-`, lines of text at standard input; a Dataset,
        DatasetDict, DataFrame, mapping of columns, list of dicts or iterable of texts
    encoding: of text files, where it is not UTF-8 and no byte-order mark tells it

    Raises InputError, naming file and line, for what cannot be read.
    """
    if not isinstance(data, str | os.PathLike):
        return of_python(data)
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

    return splits_of(hub.load_named(str(data)), f"hub {data}")


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
        return of_dicts(enumerate(found, start=1), name, "row")
    every = itertools.chain([first], lines)
    parsed = ((at, _parsed(line.strip(), name, at)) for at, line in every if line.strip())
    return of_dicts(parsed, name, "line")


def _parsed(text: str, name: str, number: int) -> Any:
    try:
        return json.loads(text)
    except (ValueError, RecursionError) as error:
        number += getattr(error, "lineno", 1) - 1
        column = f", column {error.colno}" if isinstance(error, json.JSONDecodeError) else ""
        told = getattr(error, "msg", reason(error))
        raise InputError(f"{name}:{number}: found no JSON ({told}{column}), expected an object with columns") from error


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

        return splits_of(hub.load_saved(folder), str(folder))
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
    return splits_of(loaded, str(folder))


def is_table(path: str) -> bool:
    """Whether a name ends as those of files do that can be read, perhaps packed."""
    return any(path.lower().removesuffix(packing).endswith(KINDS) for packing in ("", *PACKED))
