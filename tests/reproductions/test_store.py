"""The results store: what it writes comes back, byte for byte, and what is not in order is refused with one line."""

import numpy as np
import pandas as pd
import pytest

from fastbert_core.errors import InputError
from fastbert_core.trace import save_trace
from reproductions.columns import TABLES
from reproductions.store import (
    TraceKey,
    find_traces,
    load_stored,
    load_traces,
    read_table,
    record_run,
    table_path,
    trace_key,
    trace_path,
    write_table,
)
from tests.factories import make_task, make_trace, run_row, runs_of, store

WIDTH, DEVICE = len(TABLES["runs"]), 1 + list(TABLES["runs"]).index("device")


@pytest.fixture
def runs():
    return runs_of([make_trace(20), make_trace(20, seed=8), make_trace(20, task="lcqmc")])


def refusal(action, *arguments):
    """The one line that `action` refuses with."""
    with pytest.raises(InputError) as refused:
        action(*arguments)
    message = str(refused.value)
    assert "\n" not in message
    return message


def test_a_table_comes_back_as_it_was_written(tmp_path, runs):
    write_table(tmp_path, "runs", runs)
    read = read_table(tmp_path, "runs")
    assert read["run_id"].tolist() == runs["run_id"].tolist()
    assert read["train_rows"].tolist() == [20000] * 3
    assert read["resumed_at"].tolist() == [""] * 3
    assert list(read.columns) == list(TABLES["runs"])


def test_equal_tables_give_equal_bytes_in_whatever_order_they_come(tmp_path, runs):
    first = write_table(tmp_path / "a", "runs", runs).read_bytes()
    shuffled = runs.iloc[[2, 0, 1]][list(runs.columns[::-1])]
    assert write_table(tmp_path / "b", "runs", shuffled).read_bytes() == first
    assert write_table(tmp_path / "c", "runs", read_table(tmp_path / "a", "runs")).read_bytes() == first
    assert first.endswith(b"\n")
    assert b"\r" not in first


def exit_rows(**changes):
    row = {"task": "lcqmc", "speed": 0.5, "exit_layer": 1, "percent": 12.345678, "mean_layers": 2, "median_layers": 1.5}
    return pd.DataFrame([row | {"samples": 12500, "seeds": "7", "reported_percent": None, "run_id": "abc"} | changes])


def test_numbers_are_plain_and_missing_ones_empty(tmp_path):
    lines = write_table(tmp_path, "exit_layers", exit_rows()).read_text().splitlines()
    assert lines[1] == "lcqmc,0.50,1,12.35,2.000,1.5,12500,7,,abc"


def test_zero_has_no_sign(tmp_path):
    assert ",0.00," in write_table(tmp_path, "exit_layers", exit_rows(percent=-0.0)).read_text()


def test_rows_are_sorted_by_key_and_numbers_in_names_count(tmp_path):
    speeds = pd.concat([exit_rows(speed=s, exit_layer=k) for s, k in ((0.8, 1), (0.3, 12), (0.3, 2))])
    write_table(tmp_path, "exit_layers", speeds)
    read = read_table(tmp_path, "exit_layers")
    assert list(zip(read["speed"], read["exit_layer"], strict=True)) == [(0.3, 2), (0.3, 12), (0.8, 1)]
    many = runs_of([make_trace(5, variant=f"{k}-layers", model="distilbert") for k in (10, 6, 1)])
    write_table(tmp_path, "runs", many)
    assert read_table(tmp_path, "runs")["variant"].tolist() == ["1-layers", "6-layers", "10-layers"]


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"exit_layer": 0}, "exit_layer: found 0, expected a whole number of at least 1"),
        ({"exit_layer": 1.5}, "exit_layer: found 1.5, expected a whole number"),
        ({"percent": 101}, "percent: found 101.0, expected a number from 0 to 100"),
        ({"percent": "98%"}, "percent: found 98%, expected a number from 0 to 100"),
        ({"percent": "1,014"}, "percent: found 1,014, expected a number"),
        ({"mean_layers": float("inf")}, "mean_layers: found inf, expected a number"),
        ({"mean_layers": None}, "mean_layers: found nothing, expected a number of at least 1"),
        ({"task": "Book review"}, "task: found Book review, expected text like"),
        ({"run_id": "a,b"}, "run_id: found a,b, expected text like"),
        ({"run_id": "../x"}, "run_id: found ../x, expected text like"),
        ({"samples": "9007199254740993"}, "samples: found 9007199254740993, expected a whole number"),
    ],
)
def test_bad_values_are_neither_written_nor_read(tmp_path, change, expected):
    message = refusal(write_table, tmp_path, "exit_layers", exit_rows(**change))
    assert message.startswith(f"{table_path(tmp_path, 'exit_layers')}, line 2: {expected}")
    assert not table_path(tmp_path, "exit_layers").exists()
    fields = ["" if value is None else f'"{value}"' for value in exit_rows(**change).iloc[0]]
    good = ",".join(str(value) for value in exit_rows(exit_layer=2, reported_percent=1).iloc[0])
    text = "\n".join([",".join(TABLES["exit_layers"]), good, ",".join(fields)])
    table_path(tmp_path, "exit_layers").write_text(text + "\n")
    message = refusal(read_table, tmp_path, "exit_layers")
    assert message.startswith(f"{table_path(tmp_path, 'exit_layers')}, line 3: {expected.split(', expected')[0][:30]}")


def test_two_rows_without_a_key_are_refused(tmp_path):
    message = refusal(write_table, tmp_path, "exit_layers", pd.concat([exit_rows(task=None)] * 2))
    assert "line 2: task: found nothing, expected text like" in message


def test_a_name_with_a_line_end_behind_it_is_another_name(tmp_path):
    message = refusal(write_table, tmp_path, "exit_layers", exit_rows(task="lcqmc\n"))
    assert r"task: found lcqmc\n, expected text like" in message


def test_settings_that_are_no_json_object_are_refused(tmp_path, runs):
    for text in ("{", "[1]", "lr=2e-5", "[" * 200):
        message = refusal(write_table, tmp_path, "runs", runs.assign(hyperparameters=text))
        assert message.endswith(f"hyperparameters: found {text}, expected a JSON object")


@pytest.mark.parametrize(
    ("found", "replacement", "expected"),
    [
        ("run_id,task", "task,run_id", "line 1: column 1: found task, expected run_id"),
        ("wall_seconds\n", "wall_seconds,best\n", f"line 1: column {WIDTH + 1}: found best, expected none"),
        ("wall_seconds\n", "wall_seconds,task\n", f"line 1: column {WIDTH + 1}: found task, expected none"),
        ("device,", "", f"line 1: column {DEVICE}: found threads, expected device"),
        ("standard", "quick", "line 2: profile: found quick, expected one of smoke, standard, offline, paper"),
        ("20000,", "", f"line 2: found {WIDTH - 1} fields, expected {WIDTH}"),
        ("fastbert,default,8", "fastbert,default,7", "line 3: task, model, variant, seed: found book-review, fastbert"),
    ],
)
def test_a_table_that_was_tampered_with_is_refused(tmp_path, runs, found, replacement, expected):
    path = write_table(tmp_path, "runs", runs)
    text = path.read_text()
    assert found in text
    path.write_text(text.replace(found, replacement, 1))
    assert refusal(read_table, tmp_path, "runs").startswith(f"{path}, {expected}")


def test_two_runs_that_claim_one_key_are_both_named(tmp_path, runs):
    runs.loc[1, "seed"] = 7
    message = refusal(write_table, tmp_path, "runs", runs)
    assert f"claimed by run {runs.run_id[1]}, expected one claim; run {runs.run_id[0]} has it on line 2" in message


def test_two_rows_without_a_run_that_claim_one_key_are_named(tmp_path):
    columns, hashes = list(TABLES["padding"]), "0" * 64
    row = f"lcqmc,bert,{hashes},files,{hashes},10,9.00,50.00,0.00,1.000,1.000,1,2.000,2.000"
    table_path(tmp_path, "padding").write_text("\n".join([",".join(columns), row, row]) + "\n")
    message = refusal(read_table, tmp_path, "padding")
    assert message.endswith("found lcqmc, 1 claimed by a row, expected one claim; a row has it on line 2")


def test_a_table_that_is_no_csv_is_refused(tmp_path):
    path = table_path(tmp_path, "runs")
    assert refusal(read_table, tmp_path, "runs") == f"{path}: no such file, expected the table runs"
    path.write_bytes(b"\xff\xfe")
    assert "expected a CSV in UTF-8" in refusal(read_table, tmp_path, "runs")
    path.write_bytes(b"")
    assert refusal(read_table, tmp_path, "runs").startswith(f"{path}, line 1: column 1: found none, expected run_id")


def test_recording_a_run_replaces_the_one_that_holds_its_key(tmp_path):
    first, other = make_trace(20), make_trace(20, seed=8)
    record_run(tmp_path, run_row(first))
    record_run(tmp_path, run_row(other))
    record_run(tmp_path, run_row(first, run_id="newer", resumed_at="e" * 40))
    runs = read_table(tmp_path, "runs")
    assert runs["run_id"].tolist() == ["newer", other.metadata["run_id"]]
    assert runs["resumed_at"].tolist() == ["e" * 40, ""]


def test_trace_paths_and_keys_are_inverse(tmp_path):
    for key in (
        TraceKey("dbpedia", "fastbert", "default", 7, "test"),
        TraceKey("my_task-2", "fastbert", "reverse-kl", 10, "dev", 8),
        TraceKey("lcqmc", "distilbert", "6-layers", 7, "test"),
    ):
        path = trace_path(tmp_path, **vars(key))
        assert trace_key(path) == key
    assert path == tmp_path / "traces/lcqmc/distilbert-6-layers-seed7-test.npz"


@pytest.mark.parametrize(
    "change",
    [
        *({"task": name} for name in ("../x", "/x", "", "..", "a\0", "x\n")),
        *({"split": name} for name in ("x/../../../y", "test.npz/../x", "")),
        *({"model": "a/b"}, {"variant": ".."}, {"seed": "../7"}, {"epoch": "/1"}),
    ],
)
def test_no_key_names_a_trace_elsewhere(tmp_path, change):
    with pytest.raises(InputError, match="found no safe name, expected <task>/<model>-"):
        trace_path(tmp_path, **vars(TraceKey("dbpedia", "fastbert", "default", 7, "test")) | change)


def test_no_link_leads_out_of_the_results(tmp_path):
    other, results = store(tmp_path / "other", [make_trace(5)]), tmp_path / "results"
    (results / "traces").mkdir(parents=True)
    (results / "traces" / "book-review").symlink_to(other / "traces" / "book-review")
    (results / "runs.csv").symlink_to(other / "runs.csv")
    for action in (find_traces, lambda folder: read_table(folder, "runs")):
        assert "found a way out of" in refusal(action, results)
    with pytest.raises(InputError, match="found a way out of"):
        trace_path(results, **vars(TraceKey("book-review", "fastbert", "default", 7, "test")))
    (tmp_path / "link").symlink_to(other)
    assert len(find_traces(tmp_path / "link")) == 1  # where the user points, a link is as good as a folder


@pytest.mark.parametrize("stage", [None, "other", "missing"])
def test_an_epoch_of_no_stage_is_refused(tmp_path, stage):
    trace = make_trace(20, split="dev", epoch=1, stage=stage)
    if stage == "missing":
        del trace.metadata["stage"]
    store(tmp_path, [trace])
    message = refusal(load_stored, find_traces(tmp_path)[0], runs_of([trace]))
    assert "-dev-epoch1.npz: found stage " in message
    assert message.endswith("expected one of fine-tuning, self-distillation")


@pytest.mark.parametrize("name", ["fastbert.npz", "fastbert-default-7-test.npz", "FastBERT-default-seed7-test.npz"])
def test_a_trace_of_another_name_is_refused(tmp_path, name):
    path = tmp_path / "traces" / "dbpedia" / name
    save_trace(make_trace(5, task="dbpedia"), path)
    assert f"{path}: found the name {name}, expected <model>-" in refusal(find_traces, tmp_path)


def test_traces_are_found_by_what_they_are_of(tmp_path):
    store(tmp_path, make_task(samples=5))
    assert len(find_traces(tmp_path)) == 17
    assert [path.name for path in find_traces(tmp_path, model="fastbert", split="test")] == [
        "fastbert-authors-seed7-test.npz",
        "fastbert-default-seed7-test.npz",
        "fastbert-labels-seed7-test.npz",
        "fastbert-reverse-kl-seed7-test.npz",
    ]
    assert [path.name for path in find_traces(tmp_path, split="dev", epoch=None)] == ["fastbert-default-seed7-dev.npz"]
    assert find_traces(tmp_path, task="dbpedia") == []


def test_stored_traces_load_with_their_probabilities(tmp_path):
    original = make_trace(30)
    store(tmp_path, [original])
    (loaded,) = load_traces(tmp_path, read_table(tmp_path, "runs"))
    assert np.array_equal(loaded.probabilities, original.probabilities)
    assert loaded.metadata == original.metadata


def test_a_trace_must_be_what_its_name_says(tmp_path):
    stored = make_trace(20)
    save_trace(stored, trace_path(tmp_path, "book-review", "fastbert", "default", 8, "test"))
    path = find_traces(tmp_path)[0]
    assert f"{path}: found metadata of TraceKey" in refusal(load_stored, path, runs_of([stored]))


def test_a_trace_must_come_from_a_run_that_is_listed_for_it(tmp_path):
    stored = make_trace(20)
    store(tmp_path, [stored])
    path, run_id = find_traces(tmp_path)[0], stored.metadata["run_id"]
    message = refusal(load_stored, path, runs_of([stored], run_id="another"))
    assert message == f"{path}: found run_id {run_id}, expected one that stands in runs.csv"
    message = refusal(load_stored, path, runs_of([stored], seed=8))
    assert message.startswith(f"{path}: found run_id {run_id}, which runs.csv lists for ('book-review', 'fastbert'")
    message = refusal(load_stored, path, runs_of([stored], test_rows=21))
    assert message == f"{path}: found 20 samples, expected the 21 test_rows of runs.csv"


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layers": [1, 2, 12]}, r"found layers \[1, 2, 12\], expected \[1, 2, 3"),
        ({"layers": [12]}, r"found layers \[12\], expected \[1, 2, 3"),
        ({"split": "dev", "epoch": 1, "stage": "fine-tuning"}, r"found layers \[1, 2, .* expected \[12\]"),
        ({"split": "dev", "epoch": 4, "stage": "self-distillation", "layers": [12]}, "expected .1, 2"),
        ({"model": "distilbert", "variant": "3-layers", "layers": [1, 3]}, r"found layers \[1, 3\], expected \[1\]"),
    ],
)
def test_a_trace_with_missing_layers_is_refused(tmp_path, options, expected):
    stored = make_trace(20, **options)
    store(tmp_path, [stored])
    with pytest.raises(InputError, match=expected):
        load_stored(find_traces(tmp_path)[0], runs_of([stored]))


def test_a_damaged_trace_is_refused_by_name(tmp_path):
    stored = make_trace(20)
    store(tmp_path, [stored])
    path = find_traces(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-200])
    assert refusal(load_stored, path, runs_of([stored])).startswith(f"{path}: found content that does not match")
