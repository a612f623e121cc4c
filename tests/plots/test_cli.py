"""`python -m plots`: exit codes, messages and where the figures go."""

import os
import shutil
import subprocess
import sys

import pytest

from plots.cli import main
from reproductions.checkout import ROOT


@pytest.fixture(autouse=True)
def one_figure(blank_figures):
    blank_figures("exit_layers")


def test_the_committed_profiles_are_drawn_into_plots_and_others_beside_their_results(results, monkeypatch, capsys):
    root = results.parents[1]
    (root / "tox.ini").touch()
    monkeypatch.setattr("reproductions.checkout.ROOT", root)
    monkeypatch.chdir(root)
    shutil.copytree(results, results.parent / "smoke")
    assert main([]) == 0
    assert {str(path.relative_to(root)) for path in root.rglob("*.svg")} == {
        "plots/figures/standard/book-review/exit_layers.svg",
        "results/smoke/figures/book-review/exit_layers.svg",
    }
    assert "results/standard: 2 files in plots/figures/standard" in capsys.readouterr().out


def test_results_elsewhere_keep_their_figures(results, capsys):
    assert main(["--results-dir", str(results.parent), "--profile", "standard"]) == 0
    assert (results / "figures" / "book-review" / "exit_layers.png").exists()


def test_a_broken_table_is_one_line_and_exit_code_1(results, capsys):
    (results / "exit_layers.csv").write_text("task\n")
    assert main(["--results-dir", str(results.parent)]) == 1
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: not drawn: exit_layers: ")
    assert "exit_layers.csv, line 1: column 2: found none, expected speed" in line


def test_a_profile_without_a_run_is_said_and_no_error(tmp_path, capsys):
    (tmp_path / "paper").mkdir()
    assert main(["--results-dir", str(tmp_path)]) == 0
    assert "not drawn: exit_layers (no trace *-self-distillation-seed*/test.npz)" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--profile", "huge"], ["--profile", "paper"], ["--results-dir", "nowhere"]])
def test_bad_arguments_are_exit_code_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tox.ini").touch()  # a checkout without results
    monkeypatch.setattr("reproductions.checkout.ROOT", tmp_path)
    with pytest.raises(SystemExit) as stop:
        main(arguments)
    assert stop.value.code == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith("error: ")
    assert "expected" in line or "invalid choice" in line


def test_a_folder_that_takes_no_figures_is_exit_code_1(results, capsys):
    (results / "figures").write_text("a file")
    assert main(["--results-dir", str(results.parent)]) == 1
    assert "figures" in capsys.readouterr().err


def test_figures_and_report_are_made_where_no_model_library_is(results, tmp_path):
    code = """
import sys
sys.modules |= dict.fromkeys(("torch", "transformers", "datasets"))  # None: importing it fails
from plots import cli, gallery
from plots.report import cli as report
gallery.FIGURES = {"luha": gallery.FIGURES["luha"]}
sys.exit(cli.main(["--results-dir", "results"]) or report.main(["--results-dir", "results"]))
"""
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, "-c", code], cwd=tmp_path, env=variables, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (results / "figures" / "book-review" / "luha.png").is_file()
    assert (tmp_path / "report.html").is_file()
