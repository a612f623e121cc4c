"""Results tables: what is written comes back, byte for byte, and what is not in order is refused with one line."""

import pandas as pd
import pytest

from reproductions.checkout import committed
from reproductions.columns import TABLES
from reproductions.tables import read_table, table_path, write_table
from tests.factories import make_trace, runs_of
from tests.reproductions.own_task import refusal

WIDTH, DEVICE = len(TABLES["runs"]), 1 + list(TABLES["runs"]).index("device")


@pytest.fixture
def runs():
    return runs_of([make_trace(20), make_trace(20, seed=8), make_trace(20, task="lcqmc")])


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
    many = runs_of([make_trace(5, training=f"distilbert-{k}") for k in (10, 6, 1)])
    write_table(tmp_path, "runs", many)
    assert read_table(tmp_path, "runs")["training"].tolist() == ["distilbert-1", "distilbert-6", "distilbert-10"]


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


@pytest.mark.parametrize(
    ("found", "replacement", "expected"),
    [
        ("run_id,task", "task,run_id", "line 1: column 1: found task, expected run_id"),
        ("wall_seconds\n", "wall_seconds,best\n", f"line 1: column {WIDTH + 1}: found best, expected none"),
        ("wall_seconds\n", "wall_seconds,task\n", f"line 1: column {WIDTH + 1}: found task, expected none"),
        ("device,", "", f"line 1: column {DEVICE}: found threads, expected device"),
        ("standard", "quick", "line 2: profile: found quick, expected one of smoke, standard, packaged, paper"),
        ("20000,", "", f"line 2: found {WIDTH - 1} fields, expected {WIDTH}"),
        (
            "self-distillation,8",
            "self-distillation,7",
            "line 3: task, backbone, training, seed: found book-review, goo",
        ),
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
    assert f"claimed by run {runs.run_id[1]}, expected one claim; run {runs.run_id[0]} has it in {tmp_path}" in message


def test_two_rows_without_a_run_that_claim_one_key_are_named(tmp_path):
    head, row = table_path(committed("results", "standard"), "grid").read_text().splitlines()[:2]
    table_path(tmp_path, "grid").write_text("\n".join([head, row, row]) + "\n")
    message = refusal(read_table, tmp_path, "grid")
    assert f"found {','.join(row.split(',')[:2]).replace(',', ', ')}, " in message
    assert message.endswith(f"claimed by a row, expected one claim; a row has it in {tmp_path}/grid.csv, line 2")


def test_a_table_that_is_no_csv_is_refused(tmp_path):
    path = table_path(tmp_path, "runs")
    assert refusal(read_table, tmp_path, "runs") == f"{path}: no such file, expected the table runs"
    path.write_bytes(b"\xff\xfe")
    assert "expected a CSV in UTF-8" in refusal(read_table, tmp_path, "runs")
    path.write_bytes(b"")
    assert refusal(read_table, tmp_path, "runs").startswith(f"{path}, line 1: column 1: found none, expected run_id")
