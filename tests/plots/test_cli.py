"""`python -m plots`: exit codes, messages and where the figures go. What a broken table costs is test_gallery.py's."""

import os
import shutil
import subprocess
import sys

import pytest

from plots.cli import main
from plots.report.cli import main as report
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


@pytest.mark.parametrize("command", [main, report])
@pytest.mark.parametrize("arguments", [["--profile", "huge"], ["--profile", "paper"], ["--results-dir", "nowhere"]])
def test_bad_arguments_are_exit_code_2(command, arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "tox.ini").touch()  # a checkout without results
    monkeypatch.setattr("reproductions.checkout.ROOT", tmp_path)
    with pytest.raises(SystemExit) as stop:
        command(arguments)
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
