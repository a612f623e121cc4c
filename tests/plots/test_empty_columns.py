"""What a run without git, on a task of one's own, leaves empty: every figure and the report go without it."""

import re
from pathlib import Path

import pandas as pd
import pytest
from matplotlib.text import Text

import plots
from plots.registry import BENCH_FIGURES, FIGURES
from plots.report.tables import OF_A_TASK, OF_ALL_TASKS, RUNS
from plots.style import applied
from reproductions.columns import TABLES
from reproductions.tables import read_table, write_table
from tests.plots.test_efficiency import rows

OPTIONAL = [(table, name) for table, columns in TABLES.items() for name, column in columns.items() if column.optional]
DRAWN = {table for drawing in FIGURES.values() for table in drawing.tables} | {"runs", "efficiency"}
SOURCES = "".join(path.read_text(encoding="utf-8") for path in Path(plots.__file__).parent.rglob("*.py"))
NAMED = [pair for pair in OPTIONAL if pair[0] in DRAWN and re.search(rf"\b{pair[1]}\b", SOURCES)]  # no other is read
NAN = re.compile(r"(?i)\bnan")
IN_REPORT = {shown.table for shown in (RUNS, *OF_ALL_TASKS, *OF_A_TASK)} | {"speed_accuracy", "efficiency"}


@pytest.fixture(scope="module")
def tables(measured):
    """The tables by name: of what was measured, and of what was timed."""
    found = {path.stem: read_table(measured, path.stem) for path in measured.glob("*.csv")}
    return found | {"efficiency": pd.DataFrame(rows())}


@pytest.mark.parametrize("table", sorted({table for table, _ in NAMED}))
def test_figures_go_without_optional_columns(tables, tmp_path, table):
    names = [name for of, name in NAMED if of == table]
    write_table(tmp_path, table, tables[table].assign(**dict.fromkeys(names)))
    changed = tables | {table: read_table(tmp_path, table)}
    for name in names:
        if TABLES[table][name].type == "text":
            assert set(changed[table][name]) == {""}
    for drawing in (FIGURES | BENCH_FIGURES).values():
        if table in (*drawing.tables, *(["runs"] if any("run_id" in TABLES[name] for name in drawing.tables) else [])):
            with applied():
                figure = drawing.draw(changed)
            assert not [text for text in figure.findobj(Text) if NAN.search(text.get_text())]


def test_the_report_goes_without_optional_columns(report, results, tables):
    for table in IN_REPORT:
        folder = results.parent / "bench" if table == "efficiency" else results
        write_table(folder, table, tables[table].assign(**{name: None for of, name in OPTIONAL if of == table}))
    code, page, errors = report()
    assert (code, errors) == (0, [])
    assert not [text for text in page.texts if NAN.search(text)]
