"""The report of results that are not in order: a broken file costs its own part alone, and is named."""

import json

import pytest

from plots.report import cli
from reproductions.columns import TABLES
from tests.factories import trace_file
from tests.plots.report_page import NAMES, SLIDER, edit

HEADER = f"{','.join(TABLES['rivals'])}\n".encode()


@pytest.mark.parametrize(
    ("name", "change", "lost"),
    [
        ("table3", lambda text: "task\n", "table table3: "),
        ("comparisons", lambda text: text + text.splitlines()[1] + "\n", "table comparisons, figure overview: "),
        ("table2", lambda text: text.replace("speed=0.5,", "speed=0.s,", 1), "table table2, figure overview: "),
    ],
)
def test_a_broken_table_is_listed_and_the_rest_is_shown(report, results, name, change, lost):
    edit(results / f"{name}.csv", change)
    code, page, (line,) = report()
    assert code == 1
    assert line.startswith(f"error: not shown: {lost}")
    assert line.removeprefix("error: not shown: ") in page.text
    assert SLIDER in page.ids
    other = "Table 3: " if name == "table2" else "Table 2: "
    assert any(text.startswith(other) for text in page.texts)


def test_a_missing_table_is_broken_if_a_trace_allows_it(report, results):
    (results / "true_macs.csv").unlink()
    code, page, errors = report()
    assert code == 1
    assert [line.endswith("true_macs.csv: no such file, expected the table true_macs") for line in errors] == [True]
    assert "True multiply-accumulates" not in page.text


def test_without_runs_the_page_says_so_once(report, results):
    (results / "runs.csv").unlink()
    code, page, (line,) = report()
    assert code == 1
    assert line.endswith("runs.csv: no such file, expected the table runs")
    assert "figure overview, figure exit_layers" in line
    assert page.data["sliders"] == {}
    assert page.sources == []


@pytest.mark.parametrize("listed", [True, False])
def test_a_missing_trace_costs_its_own_slider(report, results, listed):
    trace_file(results, training="labels").unlink()
    if not listed:
        record = trace_file(results, "run.json", training="labels")
        run = json.loads(record.read_text())
        del run["traces"]["test.npz"]
        record.write_text(json.dumps(run))
    code, page, (line,) = report()
    assert code == 1
    assert line.startswith("error: not shown: slider of book-review, FastBERT without self-distillation: ")
    shown = [model["model"] for model in page.models()]
    assert shown == [name for name in NAMES if name != "FastBERT without self-distillation"]


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda row: [*row[:3], "12.34", *row[4:]], "speed 0.5: found accuracy 12.34, expected "),
        (lambda row: [*row[:4], "1.234", *row[5:]], "speed 0.5: found mean_layers 1.234, expected "),
        (lambda row: [], "found 100 speeds, expected 0, 0.01, … 1"),
    ],
)
def test_a_table_that_the_traces_do_not_bear_out_has_no_slider(report, results, change, complaint):
    start = "book-review,FastBERT,0.50,"

    def changed(text):
        lines = [",".join(change(line.split(","))) if line.startswith(start) else line for line in text.splitlines()]
        return "\n".join(line for line in lines if line) + "\n"

    edit(results / "speed_accuracy.csv", changed)
    code, page, (line,) = report()
    assert code == 1
    assert complaint in line
    assert [model["model"] for model in page.models()] == NAMES[1:]


def test_a_broken_bench_table_is_listed(report, results):
    (results.parent / "bench").mkdir()
    (results.parent / "bench" / "rivals.csv").write_bytes(HEADER + b"x\n")
    code, page, (line,) = report()
    assert code == 1
    assert line.startswith("error: not shown: table rivals: ")
    assert f"rivals.csv, line 2: found 1 fields, expected {len(TABLES['rivals'])}" in page.text


def test_a_profile_with_nothing_in_it_is_no_error(report, results):
    (results.parent / "paper").mkdir()
    code, page, errors = report()
    assert (code, errors) == (0, [])
    assert "paper" not in page.ids
    code, page, errors = report("--profile", "paper")
    assert (code, errors) == (0, [])
    assert page.data["sliders"] == {}


def test_a_page_that_cannot_be_written_is_one_line_and_exit_code_1(results, two_figures, tmp_path, capsys):
    (tmp_path / "file").write_text("")
    assert cli.main(["--results-dir", str(results.parent), "--output", str(tmp_path / "file" / "report.html")]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")


def test_a_path_that_is_no_text_is_shown_all_the_same(results, two_figures, tmp_path, capsys):
    folder = results.parent.rename(tmp_path / "caf\udce9")
    (folder / "standard" / "runs.csv").unlink()
    output = tmp_path / "report.html"
    assert cli.main(["--results-dir", str(folder), "--output", str(output)]) == 1
    assert "caf\\udce9" in output.read_text(encoding="utf-8")
