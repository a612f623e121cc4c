"""`python -m plots`: exit codes, messages and where the figures go."""

import shutil
import subprocess
import sys

import pytest
from matplotlib.figure import Figure

from plots import gallery
from plots.cli import main
from plots.registry import FIGURES


@pytest.fixture(autouse=True)
def one_figure(monkeypatch):
    """A single figure, and a blank one, which is quick."""
    blank = FIGURES["exit_layers"]._replace(draw=lambda tables: Figure((1, 1)))
    monkeypatch.setattr(gallery, "FIGURES", {"exit_layers": blank})


def test_the_committed_profiles_are_drawn_into_plots_and_others_beside_their_results(results, monkeypatch, capsys):
    monkeypatch.chdir(results.parents[1])
    shutil.copytree(results, results.parent / "smoke")
    assert main([]) == 0
    root = results.parents[1]
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
    assert "not drawn: exit_layers (no trace fastbert-default-seed*-test.npz)" in capsys.readouterr().out


@pytest.mark.parametrize("arguments", [["--profile", "huge"], ["--profile", "paper"], ["--results-dir", "nowhere"]])
def test_bad_arguments_are_exit_code_2(arguments, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
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


def test_no_model_code_is_loaded():
    code = "import sys, plots.cli; print({'torch', 'transformers', 'datasets'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout == "set()\n"
