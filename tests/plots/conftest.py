"""One small results folder for all tests of the figures, measured from traces as any other."""

import functools
import itertools
import shutil

import pandas as pd
import pytest
from matplotlib.figure import Figure

from plots import gallery
from plots.registry import BENCH_FIGURES, FIGURES
from plots.report import cli
from plots.style import applied
from reproductions import budget, rules
from reproductions.grid_effects import AXES
from reproductions.measure import measure
from reproductions.tables import read_table, write_tables
from tests.factories import BACKBONE, BERT, make_task, on_encoder, store
from tests.plots.report_page import Page

TWO = ("overview", "exit_layers")


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Tables of book-review: all variants and DistilBERTs, of one seed and few samples; FastBERT on two encoders."""
    traces = [*make_task("book-review", samples=60), *on_encoder("small", BERT | {"layers": 6}, samples=60)]
    folder = store(tmp_path_factory.mktemp("results") / "standard", traces)
    measure(folder)
    traces = rules.traces_of(folder)
    write_tables(folder, rules.measured(traces) | budget.measured(traces) | {"grid": _grid()})
    return folder


def _grid():
    """Every combination of settings, of which one breaks the teacher."""
    of_all = {
        "task": "book-review",
        "backbone": BACKBONE,
        "train_rows": 20000,
        "seed": 7,
        "speed": 0.5,
        "judged": 60,
        "fine_tuning_epochs": 3,
        "fine_tuning_rate": 2e-5,
        "confidence": 90.0,
        "precision": "fp32",
        "device": "cpu",
        "git_sha": "0" * 40,
        "git_dirty": "no",
        "resumed_at": "",
        "teacher": 80.0,
    }
    rows = []
    for number, values in enumerate(itertools.product(*AXES.values())):
        start, corrected, epochs, rate = values
        said = {"classifier_init": start, "bias_correction": "yes" if corrected else "no"}
        said |= {"distillation_epochs": epochs, "distillation_rate": rate, "variant": f"{number:016x}"}
        broken = start == "pytorch" and not corrected
        found = {"first_exit": 60.0 + epochs, "accuracy": 70.0 + epochs, "mean_layers": 12.0 - epochs}
        rows.append(of_all | said | found | {"classes_answered": 1 if broken else 2})
    return pd.DataFrame(rows)


@pytest.fixture
def results(measured, tmp_path):
    """A copy of the measured folder that a test may spoil."""
    return shutil.copytree(measured, tmp_path / "results" / "standard")


@pytest.fixture(scope="session")
def draw(measured):
    """Draws a figure by name from the measured tables, as changed by the functions that are given by table's name."""

    @functools.cache
    def drawn(name, **changes):
        tables = {key: read_table(measured, key) for key in ("runs", *FIGURES[name].tables)}
        tables |= {key: change(tables[key]) for key, change in changes.items()}
        with applied():
            return FIGURES[name].draw(tables)

    return drawn


def blank(tables):
    figure = Figure((1, 1))
    figure.text(0, 0, "50% of #1 isn't")
    return figure


def only(patch, *names):
    """Let there be the figures of these names and no more, and blank ones, which are quick."""
    for registry, figures in (("FIGURES", FIGURES), ("BENCH_FIGURES", BENCH_FIGURES)):
        few = {name: drawing._replace(draw=blank) for name, drawing in figures.items() if name in names}
        patch.setattr(gallery, registry, few)


@pytest.fixture
def blank_figures(monkeypatch):
    return functools.partial(only, monkeypatch)


@pytest.fixture
def two_figures(blank_figures):
    blank_figures(*TWO)


@pytest.fixture
def report(results, two_figures, tmp_path, capsys):
    """Builds the report on the results that a test may have spoilt: (exit code, page, lines on stderr)."""

    def built(*arguments, results_dir=results.parent):
        path = tmp_path / "report.html"
        code = cli.main(["--results-dir", str(results_dir), "--output", str(path), *arguments])
        return code, Page(path.read_text(encoding="utf-8")), capsys.readouterr().err.splitlines()

    return built


@pytest.fixture(scope="session")
def page(measured, tmp_path_factory):
    """The report on the results as they were measured."""
    path = tmp_path_factory.mktemp("report") / "report.html"
    with pytest.MonkeyPatch.context() as patch:
        only(patch, *TWO)
        assert cli.main(["--results-dir", str(measured.parent), "--output", str(path)]) == 0
    return Page(path.read_text(encoding="utf-8"))
