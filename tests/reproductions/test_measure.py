"""`measure`: every CSV from the traces alone, to the same bytes, or nothing at all."""

import pandas as pd
import pytest

from fastbert_core.errors import InputError
from reproductions.columns import TABLES
from reproductions.compare import select
from reproductions.measure import measure
from reproductions.tables import read_table, table_path
from tests.factories import BERT, change_run, make_task, make_trace, store, trace_file
from tests.fuzz.harness import contents

MEASURED = ["table2", "comparisons", "table3", "speed_accuracy", "luha", "exit_layers", "uncertainty", "convergence"]
MEASURED += ["equal_flops", "calibration"]
pytestmark = pytest.mark.usefixtures("few_draws")


@pytest.fixture(scope="module")
def measured(tmp_path_factory, few_draws):
    """A results folder of three tasks, two seeds of one among them, one of the user's own, with all its tables."""
    folder = tmp_path_factory.mktemp("results")
    traces = [
        *make_task("book-review", seeds=(7, 8), samples=40),
        *make_task("yelp-polarity", samples=40),
        *make_task("my-task", samples=40, classes=3),
    ]
    store(folder, traces)
    measure(folder)
    return folder


def test_every_table_is_written_and_keeps_its_schema(measured):
    for name in MEASURED:
        table = read_table(measured, name)
        assert len(table) > 0
        assert list(table.columns) == list(TABLES[name])
        assert set(table["task"]) == {"book-review", "my-task", "yelp-polarity"}
    own = read_table(measured, "table2").query("task == 'my-task'")
    assert len(own) == 8
    assert own[["reported_accuracy", "paper_layers"]].isna().all(axis=None)
    assert {*own["verdict"], *own["verdict_relative"]} == {""}


def test_every_row_names_runs_that_are_listed(measured):
    listed = set(read_table(measured, "runs")["run_id"])
    for name in set(MEASURED) - {"uncertainty"}:
        named = {run for runs in read_table(measured, name)["run_id"] for run in runs.split(";")}
        assert named <= listed
    layers, bins = (read_table(measured, name)[["task", "seeds"]] for name in ("exit_layers", "uncertainty"))
    assert set(bins.itertuples(index=False)) == set(layers.itertuples(index=False))  # which names the runs of both


def test_measuring_again_gives_the_same_bytes(measured):
    before = contents(measured)
    measure(measured)
    assert contents(measured) == before


def test_a_task_measured_alone_has_the_same_rows(measured, tmp_path):
    store(tmp_path, make_task("yelp-polarity", samples=40))
    measure(tmp_path)
    corrected = ["mcnemar_p_holm", "worse_p_holm", "verdict", "verdict_relative"]  # over all tasks
    for name in MEASURED:
        both = (read_table(folder, name) for folder in (measured, tmp_path))
        ours, alone = (table.drop(columns=corrected, errors="ignore") for table in both)
        ours = ours[ours["task"] == "yelp-polarity"].reset_index(drop=True)
        pd.testing.assert_frame_equal(ours, alone)


def test_what_the_traces_no_longer_allow_goes(tmp_path):
    store(tmp_path, make_task(samples=40))
    assert table_path(tmp_path, "convergence") in measure(tmp_path)
    store(tmp_path, [make_trace(40)])
    assert table_path(tmp_path, "convergence") not in measure(tmp_path)
    assert not table_path(tmp_path, "convergence").exists()
    assert table_path(tmp_path, "table2").exists()


def test_an_encoder_of_six_layers_and_generated_text_are_measured_too(tmp_path):
    encoder = {**BERT, "layers": 6, "hidden": 384, "intermediate": 1536}
    traces = [make_trace(50, task="dbpedia", classes=14, encoder=encoder)]
    traces.append(make_trace(50, 14, "dbpedia", split="dev", encoder=encoder))
    store(tmp_path, traces, profile="packaged", data_source="generated text (seed 7, difficulty 0.5)")
    measure(tmp_path)
    table = read_table(tmp_path, "table2")
    assert table["setting"].tolist()[0] == "6 layers"
    assert set(table["verdict"]) == {"not comparable"}
    assert read_table(tmp_path, "speed_accuracy")["reported_accuracy"].isna().all()
    assert read_table(tmp_path, "luha")["reported_accuracy"].isna().all()
    assert read_table(tmp_path, "exit_layers")["reported_percent"].isna().all()


def test_a_model_that_learnt_from_other_things_is_compared_with_nothing(tmp_path, caplog):
    """A task is being trained anew with --replace: FastBERT is done, models of old rows or encoders still stand."""
    store(tmp_path, make_task(samples=60))
    others = {
        "distilbert-6": ("train_rows", 4000),
        "distilbert-3": ("backbone_sha256", "c" * 64),
        "reverse-kl": ("data_sha256", "c" * 64),
    }
    for training, (column, other) in others.items():
        change_run(tmp_path, {column: other}, training=training)
    measure(tmp_path)
    for training, (column, other) in others.items():
        assert f"{training}, seed 7: left out: found {column} {other}, FastBERT has" in caplog.text
    assert set(read_table(tmp_path, "comparisons")["against_setting"]) == {"12 layers", "1 layers"}
    assert not {"6 layers", "3 layers"} & set(read_table(tmp_path, "table2")["setting"])
    assert "FastBERT with reverse KL" not in set(read_table(tmp_path, "table3")["model"])


def test_bad_input_writes_nothing(tmp_path):
    with pytest.raises(InputError, match="found no traces, expected some under traces/"):
        measure(tmp_path)
    store(tmp_path, [make_trace(30)])
    trace_file(tmp_path).unlink()
    with pytest.raises(InputError, match=r"test\.npz: no such trace, which run\.json lists"):
        measure(tmp_path)
    assert [file.name for file in tmp_path.iterdir() if file.is_file()] == ["runs.csv"]


@pytest.mark.parametrize("change", [{"backbone": "another"}, {"encoder": BERT | {"hidden": 384}}, {"classes": ["a"]}])
def test_seeds_of_different_encoders_or_classes_make_no_average(change):
    mine, other = make_trace(30), make_trace(30, seed=8)
    other.metadata.update(change)
    with pytest.raises(
        InputError, match=r"seed 8, test: found another encoder or classes than in the trace of .*seed 7"
    ):
        select([mine, other], "book-review")
