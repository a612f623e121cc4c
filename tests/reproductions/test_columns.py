"""columns.csv: every committed table is as it says, and docs/columns.md says the same."""

from pathlib import Path

import pytest

from fastbert_core.tasks import SAFE_NAME
from reproductions.columns import KINDS, TABLES, documentation
from reproductions.names import PROFILES
from reproductions.tables import read_table, write_table

RESULTS = Path(__file__).parents[2] / "results"
FOLDERS = ("standard", "standard/more", "paper", "bench")
COMMITTED = [path.relative_to(RESULTS) for name in FOLDERS for path in sorted((RESULTS / name).glob("*.csv"))]
NO_TRACE_GIVES = [path for path in COMMITTED if path.parts[0] == "bench" or path.stem == "grid"]  # nor the gate makes


@pytest.mark.parametrize("path", NO_TRACE_GIVES, ids=str)
def test_a_committed_table_is_written_again_to_the_same_bytes(tmp_path, path):
    table = read_table(RESULTS / path.parent, path.stem)
    assert write_table(tmp_path, path.stem, table).read_bytes() == (RESULTS / path).read_bytes()


def test_every_table_is_committed_and_described():
    assert {path.stem for path in COMMITTED} == set(TABLES)


def test_the_documentation_has_every_column_once_for_each_meaning():
    rows = [line.strip("| ").split(" | ") for line in documentation().splitlines() if line.startswith("| `")]
    documented = [(table, *row[:2]) for row in rows if len(row) == 4 for table in row[3].split(", ")]
    described = [
        (table + "*" * column.optional, f"`{name}`", column.about)
        for table, its in TABLES.items()
        for name, column in its.items()
    ]
    assert sorted(documented) == sorted(described)
    meanings = [tuple(row[:2]) for row in rows if len(row) == 4]
    assert len(meanings) == len(set(meanings))


def test_columns_are_well_described():
    for table, described in TABLES.items():
        for name, column in described.items():
            assert column.type in KINDS, (table, name)
            assert column.about, (table, name)
            assert column.high is None or column.low is not None, (table, name)
            assert (column.decimals is None) or column.type == "number", (table, name)
    assert TABLES["runs"]["task"].form == SAFE_NAME.pattern
    assert tuple(TABLES["runs"]["profile"].choices) == PROFILES


def test_a_p_of_one_seed_beside_an_interval_of_several_says_so():
    tables = {name: its for name, its in TABLES.items() if {"mcnemar_p", "seeds"} <= its.keys()}
    assert len(tables) == 5
    for name, its in tables.items():
        assert "mcnemar_seed" in its or "of the first of the seeds" in its["mcnemar_p"].about, name


def test_only_runs_and_bench_hold_times():
    timed = ("second", "date", "machine")
    holders = {table for table, its in TABLES.items() if any(word in name for name in its for word in timed)}
    assert holders == {"runs", *(path.stem for path in COMMITTED if path.parts[0] == "bench")}
