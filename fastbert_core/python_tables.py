"""Rows of what Python holds: data sets of Hugging Face's form, DataFrames, dicts of columns, texts."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from typing import Any

from fastbert_core.errors import InputError
from fastbert_core.records import SPLIT_NAMES, Records, of_dicts


def of_python(data: Any) -> dict[str, Records]:
    """The tables of a Dataset, DatasetDict, DataFrame, mapping of columns, list of dicts or iterable of texts."""
    if _is_dataset(data) or (isinstance(data, Mapping) and data and all(map(_is_dataset, data.values()))):
        return splits_of(data, "data")
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
    return {"train": of_dicts(enumerate(rows, start=1), "data", "row")}


def _plain(row: Any) -> Any:
    """A row whose arrays are lists, whose numbers are Python's, and where nothing is None."""
    if not isinstance(row, Mapping):
        return row
    plain = {name: cell.tolist() if hasattr(cell, "tolist") else cell for name, cell in row.items()}
    return {name: None if type(cell).__name__ == "NAType" else cell for name, cell in plain.items()}  # pandas' NA


def _is_dataset(data: Any) -> bool:
    return hasattr(data, "column_names") and hasattr(data, "features")


def splits_of(loaded: Any, name: str) -> dict[str, Records]:
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
        return of_dicts(enumerate(rows, start=1), name, "row")
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
