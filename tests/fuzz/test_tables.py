"""Result CSVs: what is written comes back, and of damaged ones only those are read that say what is read from them."""

import csv
import io
import json
import math
import re
from decimal import Decimal
from numbers import Integral

import pandas as pd
from hypothesis import given
from hypothesis import strategies as st

from reproductions.columns import TABLES, key_of
from reproductions.tables import read_table, table_path, write_table
from tests.fuzz.harness import REFUSED, damaged, fuzz, outcome

JUNK = (
    *("", " ", "nan", "None", "NA", "inf", "-1", "0", "1", "2", "1.5", "1e2", "1e400", "98%", "1,014", "0x10", "1_0"),
    *(" 1", "1 ", "+1", "--1", ".5", "True", "\uff11", "9007199254740993", "99999999999999999999", "../x", "/etc"),
    *("a\nb", "a\r", 'a"b', "\0", "a\n", "\u2028", "yes", "reproduced", "dbpedia", "dbpedia\n", "7;8", "{}", "{"),
    *("[" * 3000, "x" * 200, "b" * 64),
)
tokens = (b",", b'"', b'""', b",,", b"\r\n", b"a,b", b"\n\n", b'\n"', b"nan")


def cells(column):
    """Texts that are in order in a column."""
    return st.just("") | _cells(column) if column.optional else _cells(column)


def _cells(column):
    low, high = column.low or 0, 10**5 if column.high is None else column.high
    if column.type == "whole":
        return st.integers(int(low), int(high)).map(str)
    if column.type == "number" and column.decimals is None:
        return st.integers(int(low), int(high)).map(lambda n: str(n / 2))
    if column.type == "number":
        places = column.decimals
        return st.integers(int(low) * 10**places, int(high) * 10**places).map(lambda n: f"{n / 10**places:.{places}f}")
    if column.type == "json":
        return st.sampled_from(("{}", '{"batch": 32}', '{"a": "b, \\n\\"c\\""}'))
    if column.form:
        return st.from_regex(re.compile(column.form, re.ASCII), fullmatch=True)
    return st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=8)


@st.composite
def tables(draw, min_rows=0):
    """(name, rows): a table, its header and rows as texts, no two rows with the same key."""
    name = draw(st.sampled_from(sorted(TABLES)))
    columns, key = TABLES[name], key_of(name)
    row = st.fixed_dictionaries({column: cells(about) for column, about in columns.items()})
    found = draw(
        st.lists(row, min_size=min_rows, max_size=3, unique_by=lambda row: tuple(row[column] for column in key or row))
    )
    return name, [list(columns), *([row[column] for column in columns] for row in found)]


def as_text(rows, quoting=csv.QUOTE_MINIMAL):
    """Rows as a CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n", quoting=quoting).writerows(rows)
    return text.getvalue()


@given(tables())
@fuzz(25)
def test_what_is_in_order_comes_back(tmp_path, table):
    name, rows = table
    path = table_path(tmp_path, name)
    path.write_text(as_text(rows), encoding="utf-8", newline="")
    frame = outcome(read_table, tmp_path, name, folder=tmp_path, name=str(path))
    assert same(frame, rows)
    write_table(tmp_path, name, frame)
    with open(path, encoding="utf-8", newline="") as file:
        again = list(csv.reader(file))
    assert again[0] == rows[0]
    assert sorted(again[1:]) == sorted(rows[1:])


@st.composite
def changed_cells(draw):
    """(name, rows): a table with one to three cells that may not be in order."""
    name, rows = draw(tables(min_rows=1))
    for _ in range(draw(st.integers(1, 3))):
        at, column = draw(st.integers(1, len(rows) - 1)), draw(st.integers(0, len(rows[0]) - 1))
        rows[at][column] = draw(st.sampled_from(JUNK) | st.sampled_from(rows[at]) | st.text(max_size=6))
    return name, rows


@given(changed_cells(), st.sampled_from((csv.QUOTE_MINIMAL, csv.QUOTE_ALL)))
@fuzz(60)
def test_changed_cells(tmp_path, table, quoting):
    name, rows = table
    check(tmp_path, name, as_text(rows, quoting).encode("utf-8", "surrogatepass"))


@given(st.data())
@fuzz(80)
def test_damaged_bytes(tmp_path, data):
    name, rows = data.draw(tables())
    check(tmp_path, name, data.draw(damaged(as_text(rows).encode(), tokens)))


def check(folder, name, data):
    """Read a table from bytes; if it is accepted, it must be in order and say what the bytes say."""
    path = table_path(folder, name)
    path.write_bytes(data)
    frame = outcome(read_table, folder, name, folder=folder, name=str(path))
    if frame is REFUSED:
        return
    rows = list(csv.reader(io.StringIO(data.decode(), newline=""), strict=True))
    assert same(frame, rows)
    for row in rows[1:]:
        assert all(map(in_order, TABLES[name].values(), row))
    if key := [rows[0].index(column) for column in key_of(name)]:
        assert len({tuple(row[at] for at in key) for row in rows[1:]}) == len(rows) - 1


def same(frame, rows):
    """Whether a table holds just the cells that `rows`, a header and texts, spell."""
    if list(frame.columns) != rows[0] or len(frame) != len(rows) - 1:
        return False
    values = frame.itertuples(index=False)
    return all(
        equal(value, cell)
        for row, cells in zip(values, rows[1:], strict=True)
        for value, cell in zip(row, cells, strict=True)
    )


def equal(value, cell):
    """Whether a value of a table is what a cell spells."""
    if isinstance(value, str):
        return value == cell
    if cell == "" or pd.isna(value):
        return cell == "" and pd.isna(value)
    return value == (Decimal(cell) if isinstance(value, Integral) else float(cell))


def in_order(column, cell):
    """Whether a column may hold what a cell spells."""
    if cell == "":
        return column.optional
    if column.type == "json":
        return isinstance(json.loads(cell), dict)
    if column.type == "text":
        return re.fullmatch(column.form or r"(?s:.*)", cell) is not None
    low, high = (-math.inf if column.low is None else column.low), (math.inf if column.high is None else column.high)
    return math.isfinite(float(cell)) and low <= float(cell) <= high
