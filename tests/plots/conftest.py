"""One small results folder for all tests of the figures, measured from traces as any other."""

import functools
import shutil

import pytest
from matplotlib.figure import Figure

from plots import gallery
from plots.registry import FIGURES
from plots.report import cli
from plots.style import applied
from reproductions import budget, rules
from reproductions.measure import measure
from reproductions.tables import read_table, write_tables
from tests.factories import make_task, store
from tests.plots.report_page import Page


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Tables of book-review: all variants and DistilBERTs, of one seed and few samples."""
    folder = store(tmp_path_factory.mktemp("results") / "standard", make_task("book-review", samples=60))
    measure(folder)
    traces = rules.traces_of(folder)
    write_tables(folder, rules.measured(traces) | budget.measured(traces))
    return folder


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


@pytest.fixture
def two_figures(monkeypatch):
    """Figures of their names and no more, which are quick."""

    def blank(tables):
        figure = Figure((1, 1))
        figure.text(0, 0, "50% of #1 isn't")
        return figure

    figures = {name: FIGURES[name]._replace(draw=blank) for name in ("overview", "exit_layers")}
    monkeypatch.setattr(gallery, "FIGURES", figures)


@pytest.fixture
def report(results, two_figures, tmp_path, capsys):
    """Builds the report on the results that a test may have spoilt: (exit code, page, lines on stderr)."""

    def built(*arguments):
        path = tmp_path / "report.html"
        code = cli.main(["--results-dir", str(results.parent), "--output", str(path), *arguments])
        return code, Page(path.read_text(encoding="utf-8")), capsys.readouterr().err.splitlines()

    return built
