"""Drawing what can be drawn: twice the same bytes, and one line on whatever is missing or broken."""

import re
import shutil

import pytest

from plots import gallery
from plots.gallery import draw_folder
from plots.registry import BENCH_FIGURES, FIGURES
from reproductions.checkout import committed
from reproductions.names import BENCH, PUBLISHED
from tests.plots.report_page import edit

EXIT_LAYERS = "book-review/exit_layers.png"


@pytest.fixture
def few(blank_figures):
    blank_figures("speed_speedup", "exit_layers", "convergence")


def names(drawn):
    return {file.stem for file in drawn.files}


@pytest.mark.parametrize("folder", [*PUBLISHED, BENCH])
def test_what_is_committed_breaks_no_figure(folder, blank_figures, monkeypatch, tmp_path):
    blank_figures(*FIGURES, *BENCH_FIGURES)  # `make plots` draws them; here their tables are read
    monkeypatch.setattr(gallery, "SAVE", {"svg": lambda figure, file: None})
    assert draw_folder(committed("results", folder), tmp_path).broken == {}


def test_every_figure_is_drawn_and_drawing_again_gives_the_same_bytes(measured, tmp_path, monkeypatch):
    first = draw_folder(measured, tmp_path / "first")
    again = {name: FIGURES[name] for name in ("overview", "luha")}  # what makes bytes equal is the same for all
    monkeypatch.setattr(gallery, "FIGURES", again)
    second = draw_folder(measured, tmp_path / "second")
    assert not first.absent
    assert not first.broken
    files = {file.relative_to(tmp_path / "first") for file in first.files}
    of_all = {f"{name}.{form}" for name, drawing in FIGURES.items() if not drawing.by_task for form in ("svg", "png")}
    assert {str(file) for file in files if file.parent.name == ""} == of_all
    assert {file.stem for file in files if file.parent.name == "book-review"} == {
        name for name, drawing in FIGURES.items() if drawing.by_task
    }
    assert (len(files), len(second.files)) == (2 * len(FIGURES), 2 * len(again))
    for file in (file.relative_to(tmp_path / "second") for file in second.files):
        assert (tmp_path / "first" / file).read_bytes() == (tmp_path / "second" / file).read_bytes()
    svg = (tmp_path / "first" / "overview.svg").read_text(encoding="utf-8")
    assert "<dc:date>" not in svg


@pytest.mark.usefixtures("few")
@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        (lambda text: text.replace("exit_layer,", "", 1), "exit_layers.csv, line 1: column 3: found percent"),
        (lambda text: text.splitlines()[0] + "\n", "exit_layers.csv: found no rows, expected some"),
        (
            lambda text: re.sub(r"[^,]*\n", "feedfacecafe\n", text).replace("feedfacecafe", "run_id", 1),
            "exit_layers.csv: found run_id feedfacecafe, expected one that stands in runs.csv",
        ),
    ],
)
def test_a_broken_table_costs_its_own_figure_alone(results, tmp_path, change, complaint):
    edit(results / "exit_layers.csv", change)
    drawn = draw_folder(results, tmp_path / "figures")
    ((reason, figures),) = drawn.broken.items()
    assert complaint in reason
    assert "\n" not in reason
    assert figures == ["exit_layers"]
    assert names(drawn) == {"speed_speedup", "convergence"}


def test_a_table_without_the_rows_that_a_figure_needs_costs_that_figure(results, tmp_path, monkeypatch):
    names_ = ("speed_speedup", "exit_layers")
    monkeypatch.setattr(gallery, "FIGURES", {name: FIGURES[name] for name in names_})
    edit(results / "speed_accuracy.csv", lambda text: text.replace(",FastBERT,", ",Another,"))
    drawn = draw_folder(results, tmp_path / "figures")
    ((reason, figures),) = drawn.broken.items()
    assert reason.startswith(f"{results / 'speed_accuracy.csv'}: found rows that make no figure (ZeroDivisionError")
    assert figures == ["speed_speedup"]
    assert names(drawn) == {"exit_layers"}


@pytest.mark.usefixtures("few")
def test_a_missing_table_is_broken_if_a_trace_allows_it_and_absent_if_none_does(results, tmp_path):
    (results / "convergence.csv").unlink()
    drawn = draw_folder(results, tmp_path / "figures")
    assert [*drawn.broken.values()] == [["convergence"]]
    for trace in results.glob("traces/*/*/epoch-*.npz"):
        trace.unlink()
    drawn = draw_folder(results, tmp_path / "figures")
    assert not drawn.broken
    assert drawn.absent == {"no trace *-self-distillation-seed*/epoch-*.npz": ["convergence"]}
    assert names(drawn) == {"speed_speedup", "exit_layers"}


@pytest.mark.usefixtures("few")
def test_old_figures_go_when_no_trace_allows_them_and_stay_when_a_table_is_broken(results, tmp_path):
    folder = tmp_path / "figures"
    old = [folder / "gone-task" / "exit_layers.svg", folder / "book-review" / "convergence.png"]
    others = [folder / "book-review" / "notes.png", folder / "book-review" / "exit_layers.pdf"]
    for path in (*old, *others):
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("old")
    (results / "convergence.csv").write_text("broken")
    draw_folder(results, folder)
    assert [path.exists() for path in (*old, *others)] == [False, True, True, True]
    (results / "convergence.csv").unlink()
    shutil.rmtree(results / "traces")
    draw_folder(results, folder)
    assert [path.exists() for path in (*old, *others)] == [False, False, True, True]
    assert (folder / EXIT_LAYERS).exists()
