"""In which precision a run was trained: part of what may be averaged, and told wherever it matters."""

import dataclasses

import pytest

from fastbert_core.errors import InputError
from reproductions import show
from reproductions.measure import measure
from reproductions.seeds import giving_way
from reproductions.tables import read_table
from tests.factories import change_run, make_task, make_trace, run_row, store


def test_seeds_of_different_precisions_make_no_average(tmp_path):
    store(tmp_path, [make_trace(30, seed=seed) for seed in (7, 8)])
    change_run(tmp_path, {"precision": "fp32"}, seed=7)
    with pytest.raises(InputError, match="seed 8: found precision bf16, expected fp32 as seed 7 has, since seeds are"):
        measure(tmp_path)


def test_a_seed_of_another_precision_gives_way(tmp_path):
    seventh = make_trace(30)
    store(tmp_path, [seventh, make_trace(30, seed=8)])
    runs = read_table(tmp_path, "runs")
    assert giving_way(runs, run_row(seventh)).tolist() == [True, False]
    assert giving_way(runs, run_row(seventh, precision="fp32")).tolist() == [True, True]


def printed(tmp_path, precision):
    """What `run` prints of a task that it trained in `precision`, by line; the committed rows are bf16's."""
    mine, committed = tmp_path / "mine" / "standard", tmp_path / "committed" / "standard"
    for folder, trained_in in ((mine, precision), (committed, "bf16")):
        traces = make_task(samples=40)
        if folder is committed:  # which has no DistilBERT of 3 layers
            traces = [t for t in traces if t.metadata["training"] != "distilbert-3"]
        ids = {t.metadata["run_id"] for t in traces}
        ids = {run_id: f"{trained_in}-{run_id}" for run_id in ids}
        traces = [dataclasses.replace(t, metadata=t.metadata | {"run_id": ids[t.metadata["run_id"]]}) for t in traces]
        measure(store(folder, traces, precision=trained_in).resolve())
    mine_said, committed_said = show.task_rows(mine, "book-review", committed).split("book-review, as committed")
    return mine_said.splitlines(), committed_said


def test_a_row_beside_a_committed_one_of_another_precision_says_so(tmp_path):
    lines, committed = printed(tmp_path, "fp32")
    rows = [line for line in lines if line.startswith((" ", "B", "D", "F")) and "BERT" in line]
    assert len(rows) > 6
    for row in rows:
        assert row.endswith("fp32, committed: bf16") == ("3 layers" not in row)
    assert "trained in" not in committed


def test_rows_of_the_same_precision_say_nothing(tmp_path):
    lines, committed = printed(tmp_path, "bf16")
    assert "trained in" not in "\n".join(lines) + committed
