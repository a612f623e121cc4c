"""One profile's part of the page: its verdict and sliders, what concerns all tasks, task after task, its runs."""

import base64
import re
import tempfile
from collections import defaultdict
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import pandas as pd

from fastbert_core.errors import InputError
from plots.gallery import Drawn, checked_table, draw_folder
from plots.page import note
from plots.registry import TEST_TRACES
from plots.report import verdict
from plots.report.cells import Notes, Table
from plots.report.sliders import slider
from plots.report.tables import OF_A_TASK, OF_ALL_TASKS, RUNS, shown_table
from reproductions.tables import table_path

_ESCAPED = str.maketrans({"%": "%25", "#": "%23", "&": "%26", "'": "%27"})


class Image(NamedTuple):
    """A figure that is part of the page; source: for an attribute in single quotes, safe there; alt: what is seen"""

    source: str
    alt: str


@dataclass
class Group:
    """Tables and figures that are folded together; line: what their heading says beside the name."""

    name: str
    tables: list[Table]
    figures: list[Image]
    line: str = ""


@dataclass
class Profile:
    """What the template shows of a profile.

    verdict, headline: "" and None where no speed was chosen on dev; general: what concerns all tasks
    sliders: by task a list by model of what `slider` returns; provenance: of its runs, in a sentence or two
    absent, broken: by reason the names of what is not shown, as in plots.gallery.Drawn
    """

    name: str
    verdict: str = ""
    headline: Table | None = None
    general: Group | None = None
    tasks: list[Group] = field(default_factory=list)
    sliders: dict[str, list[dict]] = field(default_factory=dict)
    notes: Notes = field(default_factory=Notes)
    provenance: str = ""
    runs: Table | None = None
    absent: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=lambda: defaultdict(list))

    @property
    def stored(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.tasks or self.runs or self.general)


def profile_part(results_dir: Path, seconds: dict[str, list[dict]]) -> Profile:
    """The part of the profile whose results lie in `results_dir`; a broken file costs what depends on it alone.

    seconds: by task what was measured of its models
    """
    figures, drawn = _images(results_dir)
    found = Profile(results_dir.name, absent=drawn.absent)
    tables = _tables(results_dir, found)
    found.sliders = _sliders(results_dir, tables, seconds, found)
    rows = verdict.chosen(tables["table2"], tables["comparisons"])
    if len(rows):
        found.verdict, found.headline = verdict.sentence(rows), verdict.headline(rows)
    general = [shown_table(shown, tables[shown.table], found.notes) for shown in OF_ALL_TASKS]
    if any(general) or "" in figures:
        found.general = Group("All tasks", [*filter(None, general)], figures.pop("", []))
    named = [tables[name] for name in ("table2", *(shown.table for shown in OF_A_TASK))]
    for task in sorted({*figures}.union(*(table["task"] for table in named if table is not None))):
        mine = [shown_table(shown, tables[shown.table], found.notes, task) for shown in OF_A_TASK]
        found.tasks.append(Group(task, [*filter(None, mine)], figures.get(task, []), verdict.line(rows, task)))
    if tables["runs"] is not None:
        found.provenance = note(tables["runs"], tables["runs"])
        found.runs = shown_table(RUNS, tables["runs"], found.notes)
    for reason, names in drawn.broken.items():
        found.broken[reason] += [f"figure {name}" for name in names]
    return found


def _tables(results_dir: Path, part: Profile) -> dict[str, pd.DataFrame | None]:
    """The tables that the part is made from; None for one that no trace allows, or that is broken, which is noted."""
    traced, stored, found = any(results_dir.glob(f"traces/*/{TEST_TRACES}")), {}, {}
    for name in (*(shown.table for shown in (RUNS, *OF_ALL_TASKS, *OF_A_TASK)), "speed_accuracy"):
        found[name] = None
        if traced or table_path(results_dir, name).exists():
            try:
                found[name] = checked_table(results_dir, name, stored)
            except InputError as problem:
                part.broken[str(problem)].append(f"table {name}")
    return found


def _sliders(
    results_dir: Path, tables: dict[str, pd.DataFrame | None], seconds: dict[str, list[dict]], part: Profile
) -> dict[str, list[dict]]:
    """By task the numbers of every slider that curves and traces allow; what keeps one from it is noted."""
    curves, models, pairs = (tables[name] for name in ("speed_accuracy", "table2", "comparisons"))
    found: dict[str, list[dict]] = {}
    if curves is None:
        return found
    for (task, model), curve in curves.groupby(["task", "model"], sort=False):
        beside = [None if table is None else table[table["task"] == task] for table in (models, pairs)]
        try:
            own = curves[(curves["task"] == task) & (curves["model"] == "FastBERT")]
            numbers = slider(results_dir, curve, *beside, own)
        except InputError as problem:
            part.broken[str(problem)].append(f"slider of {task}, {model}")
            continue
        found.setdefault(task, []).append(numbers | {"seconds": seconds.get(task, [])})
    return found


def _images(results_dir: Path) -> tuple[dict[str, list[Image]], Drawn]:
    """Every figure that `results_dir` allows, by task ("" for those of all tasks), and what became of them."""
    found: dict[str, list[Image]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = draw_folder(results_dir, folder)
        for svg, seen in drawn.files.items():
            if svg.suffix == ".svg":
                task = "" if svg.parent == folder else svg.parent.name
                source = min(_svg_uri(svg), _png_uri(svg.with_suffix(".png")), key=len)
                found.setdefault(task, []).append(Image(source, seen))
    return found, drawn


def _svg_uri(path: Path) -> str:
    """A hundredth of a point is as sharp as any screen or printer."""
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), path.read_text(encoding="utf-8"))
    return "data:image/svg+xml;charset=utf-8," + re.sub(r"\s*\n\s*", " ", text).translate(_ESCAPED)


def _png_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
