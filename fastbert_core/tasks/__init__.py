"""The tasks of the paper's table 2, one TOML file each: classes in label order, and where the hub has the data.

Classes and label order are those of the data's own files; hub ids, columns and label names those of the dataset cards;
`revision` is the commit that a card was read at, where its full hash was on record.
"""

import re
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from importlib import resources

from fastbert_core.errors import InputError

LANGUAGES = ("en", "zh")
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
class Task:
    """A classification task: `classes` are named in label order, 0 to N-1."""

    name: str
    language: str
    classes: tuple[str, ...]
    pair: bool = False
    hub: HubSource | None = None

    def __post_init__(self) -> None:
        """Raise InputError for a name that is no safe folder name, an unknown language, or bad class names."""
        if not SAFE_NAME.fullmatch(self.name):
            raise InputError(f"task name {self.name!r}, expected small letters, digits, '-' and '_', at most 64")
        if self.language not in LANGUAGES:
            raise InputError(f"task {self.name}: language {self.language!r}, expected one of {', '.join(LANGUAGES)}")
        if len(self.classes) < 2 or len(set(self.classes)) < len(self.classes):
            raise InputError(f"task {self.name}: classes {list(self.classes)}, expected at least two, all different")
        if not all(name.strip() and name.isprintable() for name in self.classes):
            raise InputError(f"task {self.name}: classes {list(self.classes)}, expected printable names, none empty")


def read_task(name: str, table: dict) -> Task:
    """The task that a TOML file's keys describe: language and labels, pair and hub where it has them.

    Raises InputError as Task does.
    """
    hub = table.get("hub")
    if hub is not None:
        hub = HubSource(**{key: tuple(value) if isinstance(value, list) else value for key, value in hub.items()})
    return Task(name, table["language"], tuple(table["labels"]), table.get("pair", False), hub)


def _tasks() -> dict[str, Task]:
    """The tasks of this folder's TOML files, in the order of the paper's table 2."""
    files = [path for path in resources.files(__name__).iterdir() if path.name.endswith(".toml")]
    tables = {path.name.removesuffix(".toml"): tomllib.loads(path.read_text(encoding="utf-8")) for path in files}
    return {name: read_task(name, tables[name]) for name in sorted(tables, key=lambda name: tables[name]["row"])}


TASKS = _tasks()


def get_task(name: str) -> Task:
    """The task called `name`. Raises InputError, listing the names, if there is none."""
    if name not in TASKS:
        raise InputError(f"unknown task {name!r}, expected one of {', '.join(TASKS)}")
    return TASKS[name]
