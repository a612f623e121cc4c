"""Table 3: the trainings at the paper's speeds and every fixed depth, beside the paper's rows."""

import pytest

from fastbert_core.metrics import at_layer, at_speed
from reproductions.paper_rows import Paper
from reproductions.table3 import table3
from tests.factories import make_task, make_trace, runs_of

PAPER = Paper.load({"book-review", "yelp-polarity"})


def rows_of(traces):
    table = table3(traces, runs_of(traces), PAPER).astype(object)
    table = table.where(table.notna(), None)
    return {(row["model"], row["setting"]): row for _, row in table.iterrows()}


def test_every_row_of_the_papers_table_stands_beside_ours():
    traces = make_task(samples=100)
    rows = rows_of(traces)
    assert len(rows) == 4 * 2 + 12
    reported = {key: row["reported_accuracy"] for key, row in rows.items() if row["reported_accuracy"] is not None}
    assert reported == {
        ("FastBERT", "speed=0.2"): 86.98,
        ("FastBERT", "speed=0.7"): 85.69,
        ("FastBERT without self-distillation", "speed=0.2"): 86.22,
        ("FastBERT without self-distillation", "speed=0.7"): 85.02,
        ("FastBERT without adaptive inference", "layer=6"): 86.42,
        ("FastBERT without adaptive inference", "layer=2"): 82.88,
    }


def test_the_numbers_are_the_trainings_own():
    traces = make_task(samples=200)
    rows, trained = rows_of(traces), {t.metadata["training"]: t for t in traces if t.metadata["split"] == "test"}
    for model, training in (
        ("FastBERT without self-distillation", "labels"),
        ("FastBERT with reverse KL", "reverse-kl"),
    ):
        expected = at_speed(trained[training], 0.7)
        assert rows[model, "speed=0.7"]["accuracy"] == pytest.approx(expected.accuracy)
        assert rows[model, "speed=0.7"]["mean_layers"] == pytest.approx(expected.mean_layers)
    fixed = rows["FastBERT without adaptive inference", "layer=6"]
    assert fixed["accuracy"] == pytest.approx(at_layer(trained["self-distillation"], 6).accuracy)
    assert fixed["mflops"] == pytest.approx(6 * 1853.915136)  # the students on the way are run and counted


def test_all_losses_are_against_the_default_fastberts_teacher():
    traces = make_task(samples=200)
    rows, trained = rows_of(traces), {t.metadata["training"]: t for t in traces if t.metadata["split"] == "test"}
    fixed = rows["FastBERT without adaptive inference", "layer=2"]
    teacher = trained["self-distillation"].correct[:, 11].mean()
    assert fixed["relative_loss"] == pytest.approx(100 * (teacher - trained["self-distillation"].correct[:, 1].mean()))
    assert fixed["reported_loss"] == pytest.approx(86.88 - 82.88)
    labels = rows["FastBERT without self-distillation", "speed=0.7"]
    assert labels["paper_layers"] == pytest.approx(4282 / 1853.915136)
    speeds = sorted(trained["labels"].uncertainties.ravel())
    speed = next(s for s in speeds if at_speed(trained["labels"], s).mean_layers <= labels["paper_layers"])
    expected = 100 * (teacher - at_speed(trained["labels"], speed).correct.mean())
    assert labels["relative_loss"] == pytest.approx(expected)


def test_trainings_that_were_not_trained_have_no_rows():
    rows = rows_of([make_trace(50)])
    assert {model for model, _ in rows} == {"FastBERT", "FastBERT without adaptive inference"}


def test_a_task_that_the_paper_did_not_ablate_has_no_reported_numbers():
    rows = rows_of(make_task("lcqmc", samples=50))
    assert all(row["reported_accuracy"] is None for row in rows.values())
