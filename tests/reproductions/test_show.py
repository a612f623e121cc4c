"""What the command line prints of the tables."""

import pytest

from fastbert_core.errors import InputError
from fastbert_core.tasks import TASKS
from reproductions import show
from reproductions.checkout import committed
from reproductions.measure import measure
from reproductions.tables import read_table, write_table
from reproductions.task_metrics import task_metrics
from tests.factories import make_task, make_trace, store

pytestmark = pytest.mark.usefixtures("few_draws")
TINY = {"layers": 12, "hidden": 16, "intermediate": 32, "heads": 2}  # beside which a student is large


@pytest.fixture(scope="module", params=[True, False], ids=["tiny", "base"])
def printed(request, tmp_path_factory, few_draws):
    """(whether the encoder is tiny, what `run` prints of a task of one's own, table 2, the results folder)"""
    encoder = {"encoder": TINY} if request.param else {}
    folder = store(tmp_path_factory.mktemp("results") / "smoke", make_task("tickets", samples=40, **encoder))
    measure(folder)
    rows = read_table(folder, "table2")
    if not request.param:  # nothing is left unsaved
        rows = rows[rows["speedup"] >= 1]
        write_table(folder, "table2", rows)
    return request.param, show.task_rows(folder, "tickets", folder), rows, folder


def test_models_without_fastberts_own_have_no_row_yet(printed, tmp_path):
    others = [trace for trace in make_task("tickets", samples=40) if trace.metadata["training"] == "distilbert-6"]
    measure(store(tmp_path / "smoke", others))
    said = show.task_rows(tmp_path / "smoke", "tickets", printed[-1])
    assert said.startswith(
        f"tickets, this run ({tmp_path / 'smoke'}): stored; table 2 holds models beside FastBERT's own"
    )


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


def test_a_task_that_a_table_has_no_row_of_is_named(printed):
    with pytest.raises(InputError, match=r"luha\.csv: found no row of task lcqmc, expected a trace of it"):
        show.table(printed[-1], "luha", "lcqmc")


@pytest.mark.parametrize("task", ["cola", "mrpc"])
def test_points_are_those_of_the_metric_that_the_task_names_first(task):
    rows = read_table(committed("results", "standard", "more"), "task_metrics").query("task == @task")
    said = show.metrics_text(rows, TASKS[task].metrics)
    assert f"{TASKS[task].metrics[0]}, half of the layers" in said
    assert "accuracy, half of the layers" not in said


def test_so_are_those_of_a_task_of_ones_own(tmp_path):
    """Its file alone says which metric is the first; the table has them by name."""
    metrics = ("macro-f1", "accuracy")
    traces = [make_trace(60, task="tickets", split=split) for split in ("test", "dev")]
    for trace in traces:
        trace.metadata.update({"task_type": "single-label", "metrics": list(metrics)})
    folder = store(tmp_path / "smoke", traces)
    write_table(folder, "task_metrics", task_metrics(traces))
    said = show.task_rows(folder, "tickets", folder, metrics)
    assert "macro-f1, within 0.5 points" in said
    assert "accuracy, within" not in said


def test_the_last_line_says_whether_the_committed_rows_are_reproduced(printed, tmp_path):
    *_, rows, folder = printed
    n = len(rows)
    assert show.verdict("tickets", rows, rows).startswith(f"tickets: REPRODUCED: {n} of {n} accuracies lie in the int")
    off = rows.assign(accuracy=[rows["accuracy_high"][0] + 0.01, *rows["accuracy"][1:]], speedup=rows["speedup"] * 1.02)
    points = off["accuracy"][0] - rows["accuracy"][0]
    told = f"{n - 1} of {n} accuracies lie in the intervals of the committed ones, at most {points:.2f} points away"
    said = show.verdict("tickets", off, rows)
    assert said == f"tickets: NOT REPRODUCED: {told}; speedups differ by at most 2.0%\n"
    for others in (rows.assign(train_rows=rows["train_rows"] + 1), rows.assign(backbone="another")):
        assert show.verdict("tickets", others, rows).startswith("tickets: NOT COMPARED: ")
    write_table(tmp_path, "runs", read_table(folder, "runs"))
    write_table(tmp_path, "table2", off)
    said = show.verdict("tickets", rows, read_table(tmp_path, "table2"))
    assert show.task_rows(folder, "tickets", tmp_path).endswith(said)
