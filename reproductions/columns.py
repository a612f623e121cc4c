"""The columns of every results table: `columns.csv` as data, and as Markdown for docs/columns.md.

A row of columns.csv that names no type means what the row above it of the same column does; whether it is of the key,
and whether it is optional, each row says for its own table. A row without a column names a table with the same ones.
"""

import csv
import json
import math
import re
from dataclasses import dataclass, replace
from pathlib import Path

import pandas as pd

PATH = Path(__file__).parent / "columns.csv"
KINDS = {"text": "a text", "json": "a JSON object", "number": "a number", "whole": "a whole number"}


@dataclass(frozen=True)
class Column:
    """A column of a table.

    key: whether it is one of those that no two rows share, and by which the file is sorted
    optional: whether a cell may be empty
    type: one of KINDS
    decimals: how many a number is written with, None for as many as it has
    low, high: bounds of a number, which it may reach; None for no bound, and no low one is no high one
    form: regular expression that a text matches as a whole, "" for any text
    about: what it holds
    """

    key: bool
    optional: bool
    type: str
    decimals: int | None
    low: float | None
    high: float | None
    form: str
    about: str

    @property
    def choices(self) -> list[str]:
        """The texts that it may hold; none where they are not listed."""
        return self.form.split("|") if re.fullmatch(r"[\w -]+(\|[\w -]+)+", self.form) else []

    @property
    def expected(self) -> str:
        """What a cell is, in words."""
        if self.form:
            return f"one of {', '.join(self.choices)}" if self.choices else f"text like {self.form}"
        if self.low is not None and self.high is not None:
            return f"{KINDS[self.type]} from {self.low:g} to {self.high:g}"
        return KINDS[self.type] + ("" if self.low is None else f" of at least {self.low:g}")

    def parsed(self, cell: object) -> object:
        """A cell as a str, a float or an int; None where it is empty, its text where it is no number of that kind."""
        if pd.isna(cell) or cell == "":
            return None
        if self.type in ("number", "whole"):
            try:
                number = float(cell)
            except (TypeError, ValueError):
                return str(cell)
            if self.type == "number" and math.isfinite(number):
                return number
            if self.type == "whole" and abs(number) < 2**53 and number % 1 == 0:  # beyond, two may be the same float
                return int(number)
        return str(cell)

    def holds(self, value: object) -> bool:
        """Whether it may hold what `parsed` made of a cell that is not empty."""
        if not isinstance(value, str):
            return (self.low is None or value >= self.low) and (self.high is None or value <= self.high)
        if self.type == "json":
            try:
                return isinstance(json.loads(value), dict)
            except (ValueError, RecursionError):
                return False
        return self.type == "text" and (not self.form or re.fullmatch(self.form, value) is not None)

    def printed(self, value: object) -> str:
        """A value as the CSV has it."""
        if pd.isna(value):
            return ""
        if self.decimals is None:
            return str(value)
        # Adding zero to the rounded value turns -0.0 into 0.0.
        return f"{round(value, self.decimals) + 0.0:.{self.decimals}f}"


def _tables() -> dict[str, dict[str, Column]]:
    tables: dict[str, dict[str, Column]] = {}
    above: dict[str, Column] = {}
    with open(PATH, encoding="utf-8", newline="") as file:
        for row in csv.DictReader(file):
            if not row["column"]:
                tables[row["table"]] = tables[row["text"].removeprefix("as ")]
                continue
            own = {flag: row[flag] == "yes" for flag in ("key", "optional")}
            if row["type"]:
                decimals, low, high = (row[name] or None for name in ("decimals", "low", "high"))
                numbers = decimals and int(decimals), low and float(low), high and float(high)
                column = Column(*own.values(), row["type"], *numbers, row["form"], row["text"])
            else:
                column = replace(above[row["column"]], **own)
            above[row["column"]] = tables.setdefault(row["table"], {})[row["column"]] = column
    return tables


TABLES = _tables()  # by table and column, in the file's order


def key_of(table: str) -> list[str]:
    """The columns by which a table is sorted and which no two rows share; none where rows are not sorted."""
    return [name for name, column in TABLES[table].items() if column.key]


def documentation() -> str:
    """Markdown: the key of each table, and what each column holds, once for all tables in which it means the same."""
    lines = ["| table | one row for each |", "| --- | --- |"]
    lines += [f"| `{table}.csv` | {', '.join(key_of(table)) or 'row, in an order of their own'} |" for table in TABLES]
    lines += ["", "Where * follows a table's name, a cell may be empty in it.", ""]
    lines += ["| column | what it holds | a cell is | in |", "| --- | --- | --- | --- |"]
    holders: dict[tuple[str, Column], list[str]] = {}
    for table, columns in TABLES.items():
        for name, column in columns.items():
            alike = name, replace(column, key=False, optional=False)
            holders.setdefault(alike, []).append(table + "*" * column.optional)
    for (name, column), tables in sorted(holders.items(), key=lambda item: item[0][0]):
        cell = column.expected if column.choices or not column.form else KINDS["text"]
        decimals = "" if column.decimals is None else f", {column.decimals} decimals"
        lines.append(f"| `{name}` | {column.about} | {cell}{decimals} | {', '.join(tables)} |")
    return "\n".join(lines)
