"""The results that a profile's part of the page is made from, and what is not in order with them."""

from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from plots.gallery import checked_table
from plots.registry import TEST_TRACES
from reproductions.tables import table_path

FROM_TRACES = ("table2", "table3", "comparisons", "speed_accuracy", "luha", "true_macs")


class Store:
    """The tables of a results folder, each read once.

    broken: by reason the names of what cannot be shown, because a file is missing or not in order
    """

    def __init__(self, results_dir: Path) -> None:
        self.results_dir = results_dir
        self.broken: dict[str, list[str]] = {}
        self._traced = any(results_dir.glob(f"traces/*/{TEST_TRACES}"))
        self._stored: dict[str, pd.DataFrame] = {}
        self._asked: dict[str, pd.DataFrame | None] = {}

    def table(self, name: str) -> pd.DataFrame | None:
        """A table; None if no trace allows it, or if it is broken, which is then noted."""
        if name not in self._asked:
            self._asked[name] = self._read(name)
        return self._asked[name]

    def note(self, problem: InputError, name: str) -> None:
        """Remember why `name` cannot be shown."""
        self.broken.setdefault(str(problem), []).append(name)

    def _read(self, name: str) -> pd.DataFrame | None:
        expected = self._traced and name in (*FROM_TRACES, "runs")
        if not expected and not table_path(self.results_dir, name).exists():
            return None
        try:
            return checked_table(self.results_dir, name, self._stored)
        except InputError as problem:
            self.note(problem, f"table {name}")
            return None
