"""Tasks, one TOML file each: classes in label order, and where the hub or the package index has the data.

Classes and label order are those of the data's own files; hub ids, columns and label names those of the dataset cards;
`revision` is the commit that a card was read at, where its full hash was on record.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from fastbert_core.errors import InputError
from fastbert_core.registry import look_up

LANGUAGES = ("en", "zh")
SPLITS = ("train", "dev", "test")
SCORE = "score"  # the one output of a regression
SAFE_NAME = re.compile(r"[a-z0-9][a-z0-9_-]{0,63}")  # names become folder names


@dataclass(frozen=True)
class HubSource:
    """Where a task lives on the Hugging Face Hub, and how its columns and labels read.

    texts: the columns that make up the text, joined in this order with `separator`;
        for a task of pairs the two columns are the two texts.
    names: the hub's name or number of a label -> the suite's class, for those that are not the same.
    dev, test: the name of the hub's split, or the number of rows to carve out of its train split.
    classes: this source's own classes where they are not the task's, in label order.
    """

    path: str
    config: str = "default"
    revision: str | None = None
    label: str = "label"
    texts: tuple[str, ...] = ("text",)
    separator: str = " "
    names: Mapping[str, str] = field(default_factory=dict, hash=False)
    dev: str | int = 2000  # model selection looks at no more rows than that
    test: str | int = "test"
    classes: tuple[str, ...] | None = None


@dataclass(frozen=True)
class PackageSource:
    """Where a task's text lies in a wheel of the package index (fastbert_core.packaged).

    train, test: members of the wheel; without `test`, `train` is a CSV (.bz2) whose columns `label`, `text` and `group`
    say what a row is of; groups are divided among the splits.
    """

    wheel: str
    train: str
    test: str | None = None
    label: str = ""
    text: str = ""
    group: str = ""


@dataclass(frozen=True)
class Task:
    """A task: `classes` are named in label order, 0 to N-1.

    row: its place in the paper's table 2, None where it is not one of the paper's
    type: one of task_types.TASK_TYPES
    metrics: what it is judged by beside accuracy, of task_metrics.METRICS, that of its publications first
    scores: the least and the largest score of a regression
    folder: where its files lie below a folder of data that has none called as the task; None where there is none
    splits: the files that there are; what is missing is carved out of train
    out_of_scope: the class of texts that are of none of the others; None where there is none
    """

    name: str
    language: str
    classes: tuple[str, ...]
    pair: bool = False
    hub: HubSource | None = None
    package: PackageSource | None = None
    row: int | None = None
    type: str = "single-label"
    metrics: tuple[str, ...] = ()
    scores: tuple[float, float] | None = None
    folder: str | None = None
    splits: tuple[str, ...] = SPLITS
    out_of_scope: str | None = None

    @property
    def group(self) -> str:
        """Of tasks beside the paper's, the folder that data and results of all of them lie in; else empty."""
        return (self.folder or "").rpartition("/")[0]

    def __post_init__(self) -> None:
        """Raise InputError for a name that is no safe folder name, an unknown language, or bad class names."""
        if not SAFE_NAME.fullmatch(self.name):
            raise InputError(f"task name {self.name!r}, expected small letters, digits, '-' and '_', at most 64")
        if self.language not in LANGUAGES:
            raise InputError(f"task {self.name}: language {self.language!r}, expected one of {', '.join(LANGUAGES)}")
        repeated = sorted({name for name in self.classes if self.classes.count(name) > 1})
        if repeated or len(self.classes) < (2 if self.scores is None else 1):
            twice = f", of which {', '.join(repeated[:5])} stand twice" if repeated else ""
            found = f"classes {list(self.classes)}{twice}"
            raise InputError(f"task {self.name}: {found}, expected at least two, all different")
        if not all(name.strip() and name.isprintable() for name in self.classes):
            raise InputError(f"task {self.name}: classes {list(self.classes)}, expected printable names, none empty")


def read_task(name: str, table: dict) -> Task:
    """The task that a TOML file's keys describe: language and labels, or scores; others of Task where it has them.

    Raises InputError as Task does.
    """
    hub = table.get("hub")
    if hub is not None:
        hub = HubSource(**{key: tuple(value) if isinstance(value, list) else value for key, value in hub.items()})
    package = PackageSource(**table["package"]) if "package" in table else None
    classes = tuple(table["labels"]) if "labels" in table else (SCORE,)
    more = {key: table[key] for key in ("pair", "row", "type", "folder", "out_of_scope") if key in table}
    more |= {key: tuple(table[key]) for key in ("metrics", "scores", "splits") if key in table}
    return Task(name, table["language"], classes, hub=hub, package=package, **more)


def _tasks() -> dict[str, Task]:
    """The tasks of this folder's TOML files: the paper's in the order of its table 2, then the others by name."""
    files = [path for path in resources.files(__name__).iterdir() if path.name.endswith(".toml")]
    tables = {path.name.removesuffix(".toml"): tomllib.loads(path.read_text(encoding="utf-8")) for path in files}
    tasks = {name: read_task(name, tables[name]) for name in sorted(tables)}
    return dict(sorted(tasks.items(), key=lambda item: item[1].row or len(tasks)))


TASKS = _tasks()
PAPER_TASKS = {name: task for name, task in TASKS.items() if task.row}  # the twelve of its table 2


def get_task(name: str) -> Task:
    """The task called `name`. Raises InputError, which suggests the nearest, if there is none."""
    return look_up("task", name, TASKS)
