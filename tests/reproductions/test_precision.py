"""In which precision a run was trained: part of what may be averaged, and told wherever it matters."""

import pytest

from fastbert_core.errors import InputError
from reproductions import show
from reproductions.measure import measure
from reproductions.seeds import giving_way
from reproductions.tables import read_table
from tests.factories import BERT, change_run, make_trace, run_row, store


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


@pytest.mark.parametrize("precision", ["bf16", "fp32"])
def test_a_row_beside_a_committed_one_says_so_where_that_has_another_precision(tmp_path, few_draws, precision):
    mine, committed = tmp_path / "mine" / "standard", tmp_path / "committed" / "standard"
    for folder, trained_in in ((mine, precision), (committed, "bf16")):
        traces = [make_trace(40)]
        if folder is mine:  # the committed rows have no DistilBERT of 3 layers
            traces.append(make_trace(40, training="distilbert-3", encoder={**BERT, "layers": 3}, layers=[3]))
        for trace in traces:
            trace.metadata["run_id"] = f"{trained_in}-{trace.metadata['run_id']}"
        measure(store(folder, traces, precision=trained_in).resolve())
    said, told = show.task_rows(mine, "book-review", committed).split("book-review, as committed")
    rows = [line for line in said.splitlines() if line.startswith((" ", "B", "D", "F")) and "BERT" in line]
    assert len(rows) > 4
    for row in rows:
        assert row.endswith("fp32, committed: bf16") == (precision == "fp32" and "3 layers" not in row)
    assert "trained in" not in told
    assert precision == "fp32" or "trained in" not in said
