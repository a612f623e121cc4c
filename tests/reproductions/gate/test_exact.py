"""The exact tier: what is as it was passes, and whatever was tampered with fails by name."""

import hashlib
import re
import shutil
from decimal import Decimal
from pathlib import Path

import pytest

from reproductions import cli
from reproductions.store import find_traces, read_table, table_path, write_table
from reproductions.sums import sums_path
from tests.reproductions.gate.tamper import replace

PROJECT = Path(__file__).parents[3]


def test_what_is_in_order_passes(kept, gate, capsys):
    assert gate(kept / "smoke") == (0, {})
    assert re.fullmatch(r"exact: (\d+) of \1 as expected\n", capsys.readouterr().out)


def test_a_changed_digit_is_named_by_line_and_column(copy, gate, capsys):
    path = table_path(copy, "table2")
    lines = path.read_text().splitlines()
    accuracy = lines[2].split(",")[3]
    path.write_text("\n".join([*lines[:2], lines[2].replace(f",{accuracy},", ",12.34,", 1), *lines[3:]]) + "\n")
    code, failed = gate(copy)
    assert code == 1
    assert list(failed) == ["table2.csv, line 3, accuracy"]
    row = failed["table2.csv, line 3, accuracy"]
    assert (row["tier"], row["profile"], row["expected"], row["found"]) == ("exact", "smoke", "12.34", accuracy)
    assert Decimal(row["difference"]) == Decimal(accuracy) - Decimal("12.34")
    printed = capsys.readouterr().out
    assert "table2.csv, line 3, accuracy" in printed
    assert all(column in printed for column in ("expected", "found", "difference", "allowed"))


def test_a_missing_row_is_named(copy, gate):
    path = table_path(copy, "speed_accuracy")
    lines = path.read_text().splitlines(keepends=True)
    path.write_text("".join(lines[:3] + lines[4:]))
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["speed_accuracy.csv, line 4, speed"])
    path.write_text("".join(lines[:-1]))
    assert list(gate(copy)[1]) == [f"speed_accuracy.csv, line {len(lines)}, task"]


@pytest.mark.parametrize("cell", ["nan", "", "high"])
def test_a_number_that_is_none_is_named(copy, gate, cell):
    accuracy = table_path(copy, "table2").read_text().splitlines()[1].split(",")[3]
    replace(table_path(copy, "table2"), f",{accuracy},", f",{cell},")
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["table2.csv, line 2, accuracy"])
    assert failed["table2.csv, line 2, accuracy"]["expected"] == cell


@pytest.mark.parametrize("spoil", ["\r\n", "a\rb", '"'])
def test_a_line_that_is_none_of_a_csv_is_named(copy, gate, spoil):
    path = table_path(copy, "exit_layers")
    path.write_bytes(path.read_bytes().replace(b"\n", spoil.encode(), 1))
    code, failed = gate(copy)
    assert code == 1
    assert "exit_layers.csv, line 1" in next(iter(failed))


def test_padding_keeps_its_schema_and_is_of_the_same_data(copy, gate):
    path = Path(shutil.copy(PROJECT / "results" / "standard" / "padding.csv", copy))
    assert gate(copy)[1]["padding.csv, data"]["expected"] == "d" * 64
    replace(path, ",10000,", ",many,")
    code, failed = gate(copy)
    assert code == 1
    assert "padding.csv, line" in failed["measured from the traces"]["found"]


def test_missing_and_foreign_files_are_named(copy, gate):
    table_path(copy, "luha").unlink()
    (copy / "mine.csv").write_text("task\n")
    code, failed = gate(copy)
    assert code == 1
    assert (failed["luha.csv"]["expected"], failed["luha.csv"]["found"]) == ("no file", "a file")
    assert (failed["mine.csv"]["expected"], failed["mine.csv"]["found"]) == ("a file", "no file")
    assert len(failed) == 2


def test_locks_are_no_results(copy, gate):
    (copy / ".lock").touch()
    (copy / "traces" / ".x.npz.partial").touch()
    assert gate(copy) == (0, {})


def test_a_flipped_byte_of_a_trace_is_named(copy, gate):
    path = find_traces(copy, split="test")[0]
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, failed = gate(copy)
    name = f"traces/{path.parent.name}/{path.name}"
    assert code == 1
    assert set(failed) == {name, "measured from the traces"}
    assert failed[name]["found"] == hashlib.sha256(content).hexdigest()
    assert failed["measured from the traces"]["found"].startswith(f"{path}: ")


def test_missing_and_foreign_traces_are_named(copy, gate):
    path = find_traces(copy, split="dev", epoch=3)[0]
    moved = path.rename(path.with_name("fastbert-default-seed7-dev-epoch33.npz"))
    code, failed = gate(copy)
    assert code == 1
    assert failed[f"traces/book-review/{path.name}"]["found"] == "no file"
    assert failed[f"traces/book-review/{moved.name}"]["expected"] == "not in SHA256SUMS"


def test_hashes_of_another_form_are_named(copy, gate):
    replace(sums_path(copy), "  book-review", " book-review")
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["SHA256SUMS"])
    assert "SHA256SUMS, line 1: found" in failed["SHA256SUMS"]["found"]


def test_a_run_must_name_clean_code_and_leave_a_test_trace(copy, gate):
    runs = read_table(copy, "runs")
    runs.loc[0, "git_dirty"] = "yes"
    runs.loc[1, ["git_sha", "git_dirty"]] = None
    write_table(copy, "runs", runs)
    code, failed = gate(copy)
    dirty, bare = (f"run {run}, code" for run in runs["run_id"][:2])
    assert code == 1
    assert set(failed) == {dirty, bare}
    assert (failed[dirty]["found"], failed[bare]["found"]) == (f"{'0' * 40} and changes to it", "no commit")
    find_traces(copy, split="test", variant="labels")[0].unlink()
    run_id = runs.loc[runs["variant"] == "labels", "run_id"].iloc[0]
    assert gate(copy)[1][f"run {run_id}, test trace"]["found"] == "no file"


def test_a_run_that_is_not_listed_is_named(copy, gate):
    run_id = read_table(copy, "exit_layers")["run_id"].iloc[-1]
    replace(table_path(copy, "exit_layers"), run_id, "unheard-of")
    code, failed = gate(copy)
    assert code == 1
    assert failed["exit_layers.csv, run_id"]["found"] == "unheard-of not among them"
    assert "exit_layers.csv, line 2, run_id" in failed


def test_runs_out_of_order_are_named(copy, gate):
    replace(table_path(copy, "runs"), "smoke", "quick")
    code, failed = gate(copy)
    assert code == 1
    assert set(failed) == {"measured from the traces", "runs.csv"}
    assert all("runs.csv, line 2: profile: found quick" in row["found"] for row in failed.values())


def test_the_committed_count_is_held_against_todays(copy, gate):
    shutil.copytree(PROJECT / "results" / "paper", copy.parent / "paper")
    replace(copy.parent / "paper" / "table1.csv", "21785247744", "21785247745")
    code, failed = gate(copy)
    assert (code, len(failed)) == (1, 1)
    ((metric, row),) = failed.items()
    assert re.fullmatch(r"paper/table1\.csv, line \d+, analytic", metric)
    assert (row["found"], row["difference"]) == ("21785247744", "-1")


def test_bad_arguments_are_one_line_and_exit_2(kept, tmp_path, capsys):
    for arguments, message in (
        (["--tier", "exact", "--results-dir", str(tmp_path)], "standard: found no such folder"),
        (["--update"], "expected --update and --reason together"),
        (["--update", "--reason", " \n"], "expected --update and --reason together"),
        (["--reason", "faster"], "expected --update and --reason together"),
        (["--tier", "deep"], "expected --tier deep and the tasks"),
        (["dbpedia"], "expected --tier deep and the tasks"),
        (["--tier", "deep", "imdb", "--profile", "smoke", "--results-dir", str(kept)], "found no run of imdb"),
    ):
        assert cli.main(["check", *arguments]) == 2
        assert message in capsys.readouterr().err
