"""One small results folder for all tests of the figures, measured from traces as any other."""

import functools
import shutil

import pytest

from plots.registry import FIGURES
from plots.style import applied
from reproductions.measure import measure
from reproductions.results import read_table
from tests.factories import make_task, store


@pytest.fixture(scope="session")
def measured(tmp_path_factory):
    """Tables of book-review: all variants and DistilBERTs, of one seed and few samples."""
    folder = store(tmp_path_factory.mktemp("results") / "standard", make_task("book-review", samples=60))
    measure(folder)
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
