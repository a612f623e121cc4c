"""What the command line prints of the tables."""

import pytest

from reproductions import show
from reproductions.measure import measure
from reproductions.tables import read_table, write_table
from tests.factories import make_task, store

TINY = {"layers": 12, "hidden": 16, "intermediate": 32, "heads": 2}  # beside which a student is large


@pytest.fixture(scope="module", params=[True, False], ids=["tiny", "base"])
def printed(request, tmp_path_factory):
    """(whether the encoder is tiny, what `run` prints of a task of one's own, table 2, the results folder)"""
    encoder = {"encoder": TINY} if request.param else {}
    folder = store(tmp_path_factory.mktemp("results") / "smoke", make_task("tickets", samples=40, **encoder))
    measure(folder)
    rows = read_table(folder, "table2")
    if not request.param:  # nothing is left unsaved
        rows = rows[rows["speedup"] >= 1]
        write_table(folder, "table2", rows)
    return request.param, show.task_rows(folder, "tickets", folder), rows, folder


def test_a_speedup_below_1_is_explained_once_and_only_where_there_is_one(printed):
    tiny, said, rows, _ = printed
    assert (rows["speedup"] < 1).any() == tiny
    assert said.count("A speedup below 1x: ") == tiny


def test_a_task_of_ones_own_has_no_column_of_the_papers(printed):
    assert "paper" not in printed[1]


def test_a_printed_table_explains_it_too(printed):
    tiny, *_, folder = printed
    assert show.table(folder, "table2", "tickets").count("A speedup below 1x: ") == tiny
    assert "A speedup" not in show.table(folder, "luha", "tickets")
