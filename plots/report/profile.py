"""One profile's part of the page: its verdict and sliders, what concerns all tasks, task after task, its runs."""

from dataclasses import dataclass, field
from pathlib import Path

from fastbert_core.errors import InputError
from plots.note import note
from plots.report import verdict
from plots.report.cells import Notes, Table
from plots.report.figures import Image, images
from plots.report.sliders import slider
from plots.report.store import Store
from plots.report.tables import OF_A_TASK, OF_ALL_TASKS, RUNS, shown_table


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
    broken: dict[str, list[str]] = field(default_factory=dict)

    @property
    def stored(self) -> bool:
        """Whether there is anything to show."""
        return bool(self.tasks or self.runs or self.general)


def profile_part(results_dir: Path, seconds: dict[str, list[dict]]) -> Profile:
    """The part of the profile whose results lie in `results_dir`; a broken file costs what depends on it alone.

    seconds: by task what was measured of its models
    """
    store = Store(results_dir)
    figures, drawn = images(results_dir)
    tables = {shown.table: store.table(shown.table) for shown in (RUNS, *OF_ALL_TASKS, *OF_A_TASK)}
    found = Profile(results_dir.name, sliders=_sliders(store, seconds), absent=drawn.absent)
    rows = verdict.chosen(tables["table2"], tables["comparisons"])
    if len(rows):
        found.verdict, found.headline = verdict.sentence(rows), verdict.headline(rows)
    general = [shown_table(shown, tables[shown.table], found.notes) for shown in OF_ALL_TASKS]
    if any(general) or "" in figures:
        found.general = Group("All tasks", [*filter(None, general)], figures.pop("", []))
    named = [table["task"] for name, table in tables.items() if table is not None and name not in ("runs", "padding")]
    for task in sorted({*figures} | {task for tasks in named for task in tasks}):
        mine = [shown_table(shown, tables[shown.table], found.notes, task) for shown in OF_A_TASK]
        found.tasks.append(Group(task, [*filter(None, mine)], figures.get(task, []), verdict.line(rows, task)))
    if tables["runs"] is not None:
        found.provenance = note(tables["runs"], tables["runs"])
        found.runs = shown_table(RUNS, tables["runs"], found.notes)
    found.broken = {reason: list(names) for reason, names in store.broken.items()}
    for reason, names in drawn.broken.items():
        found.broken.setdefault(reason, []).extend(f"figure {name}" for name in names)
    return found


def _sliders(store: Store, seconds: dict[str, list[dict]]) -> dict[str, list[dict]]:
    """By task the numbers of every slider that curves and traces allow."""
    curves, models, pairs, runs = map(store.table, ("speed_accuracy", "table2", "comparisons", "runs"))
    found: dict[str, list[dict]] = {}
    if curves is None or runs is None:
        return found
    for (task, model), curve in curves.groupby(["task", "model"], sort=False):
        beside = [None if table is None else table[table["task"] == task] for table in (models, pairs)]
        try:
            numbers = slider(store.results_dir, curve, *beside, runs)
        except InputError as problem:
            store.note(problem, f"slider of {task}, {model}")
            continue
        found.setdefault(task, []).append(numbers | {"seconds": seconds.get(task, [])})
    return found
