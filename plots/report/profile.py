"""One profile's part of the page: its runs, what concerns all tasks, then task after task."""

from dataclasses import dataclass, field
from html import escape
from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from plots.note import note
from plots.report.figures import images
from plots.report.sliders import slider
from plots.report.store import Store
from plots.report.tables import OF_A_TASK, OF_ALL_TASKS, RUNS, shown_html


@dataclass
class Profile:
    """html: of the whole part, "" if nothing is stored; provenance: of its runs, in a sentence or two
    tasks: those that it shows, in order; sliders: by element id, a list by model of what
    `slider` returns
    absent, broken: by reason the names of what is not shown, as in plots.gallery.Drawn
    """

    name: str
    html: str = ""
    provenance: str = ""
    tasks: list[str] = field(default_factory=list)
    sliders: dict[str, list[dict]] = field(default_factory=dict)
    absent: dict[str, list[str]] = field(default_factory=dict)
    broken: dict[str, list[str]] = field(default_factory=dict)


def profile_part(results_dir: Path) -> Profile:
    """The part of the profile whose results lie in `results_dir`; a broken file costs what depends on it alone."""
    store = Store(results_dir)
    figures, drawn = images(results_dir)
    tables = {shown.table: store.table(shown.table) for shown in (RUNS, *OF_ALL_TASKS, *OF_A_TASK)}
    found = Profile(results_dir.name, sliders=_sliders(store), absent=drawn.absent)
    named = [table["task"] for name, table in tables.items() if table is not None and name not in ("runs", "padding")]
    found.tasks = sorted({*figures} - {""} | {task for tasks in named for task in tasks})
    general = [shown_html(shown, tables[shown.table]) for shown in OF_ALL_TASKS]
    of_tasks = [_task_part(found, task, tables, figures.get(task, [])) for task in found.tasks]
    parts = [*general, *figures.get("", []), *of_tasks, shown_html(RUNS, tables["runs"])]
    found.broken = {reason: list(names) for reason, names in store.broken.items()}
    for reason, names in drawn.broken.items():
        found.broken.setdefault(reason, []).extend(f"figure {name}" for name in names)
    if tables["runs"] is not None:
        found.provenance = note(tables["runs"], tables["runs"])
    if listed := "\n".join(filter(None, parts)):
        found.html = f'<section class="profile" id="{found.name}"><h2>Profile {found.name}</h2>\n{listed}\n</section>'
    return found


def slider_id(profile: str, task: str) -> str:
    """The id of the element that holds a task's slider."""
    return f"{profile}-{task}-slider"


def _task_part(profile: Profile, task: str, tables: dict[str, pd.DataFrame | None], figures: list[str]) -> str:
    name = slider_id(profile.name, task)
    place = f'<div class="slider" id="{escape(name)}"></div>' if name in profile.sliders else ""
    listed = [shown_html(shown, tables[shown.table], task) for shown in OF_A_TASK]
    heading = f'<section class="task" id="{escape(f"{profile.name}-{task}")}"><h3>{escape(task)}</h3>'
    return "\n".join(filter(None, [heading, place, *listed, *figures, "</section>"]))


def _sliders(store: Store) -> dict[str, list[dict]]:
    """By element id the numbers of every slider that curves and traces allow."""
    curves, models, runs = (store.table(name) for name in ("speed_accuracy", "table2", "runs"))
    found: dict[str, list[dict]] = {}
    if curves is None:
        return found
    for (task, model), curve in curves.groupby(["task", "model"], sort=False):
        beside = None if models is None else models[models["task"] == task]
        try:
            numbers = slider(store.results_dir, curve, beside, runs)
        except InputError as problem:
            store.note(problem, f"slider of {task}, {model}")
            continue
        found.setdefault(slider_id(store.results_dir.name, task), []).append(numbers)
    return found
