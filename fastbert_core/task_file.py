"""The user's own task, read from a TOML file."""

import os
import re
import tomllib
from dataclasses import dataclass
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import expanded, readable
from fastbert_core.tasks import TASKS, Task, read_task

REQUIRED = {"name": str, "language": str, "labels": list, "train": str, "dev": str, "test": str}
OPTIONAL = {"pair": bool, "backbone": str}
STREAMS = ("/dev", "/dev/fd", "/proc/self/fd")  # folders of /dev/stdin and of <(…), where no data lie
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class TaskFile:
    """The user's own task, its three TSV files, and its backbone (a folder, or a hub id) where one is named."""

    task: Task
    train: Path
    dev: Path
    test: Path
    backbone: Path | str | None


def read_task_file(path: Path) -> TaskFile:
    """Read a task from TOML. Paths in it, a backbone's folder among them, are relative to the file, or begin with ~.

    A backbone that is no folder, and may be a hub id, is taken for one.

    Where it comes through one of the process's own STREAMS, they are relative to the folder one is in.

    Keys: name, language ("en" or "zh"), labels (class names in label order), train, dev, test (TSV files); and,
    if need be, pair (default false) and backbone (default: the profile's). Raises InputError naming the file and the
    key for a missing or unreadable file, an unknown or missing key, a value of the wrong type, or a name that is taken.
    """
    path = Path(path)
    if not readable(path):
        raise InputError(f"{path}: no such task file")
    try:
        table = tomllib.loads(path.read_text("utf-8-sig"))
    except (OSError, ValueError, RecursionError) as error:  # unreadable, not TOML or not UTF-8, or nested without end
        raise InputError(f"{path}: {error}, expected a TOML file") from error
    _check_keys(path, table)
    if table["name"] in TASKS:
        raise InputError(f"{path}: name is {table['name']!r}, one of the suite's own tasks, expected another name")
    try:
        task = read_task(table["name"], table)
    except InputError as error:
        raise InputError(f"{path}: {error}") from error
    folder = Path() if str(path.parent) in STREAMS else path.parent
    backbone = table.get("backbone")
    if backbone is not None and (os.path.isdir(folder / expanded(backbone)) or not HUB_ID.fullmatch(backbone)):
        backbone = folder / expanded(backbone)
    train, dev, test = (folder / expanded(table[split]) for split in ("train", "dev", "test"))
    return TaskFile(task, train, dev, test, backbone)


def _check_keys(path: Path, table: dict) -> None:
    types = REQUIRED | OPTIONAL
    for key, value in table.items():
        if key not in types:
            raise InputError(f"{path}: unknown key {key!r}, expected only {', '.join(types)}")
        if not isinstance(value, types[key]):
            raise InputError(f"{path}: {key} is {value!r}, expected a {types[key].__name__}")
    for key in REQUIRED:
        if key not in table:
            raise InputError(f"{path}: no key {key!r}, expected {', '.join(REQUIRED)}")
    if not all(isinstance(label, str) for label in table["labels"]):
        raise InputError(f"{path}: labels is {table['labels']!r}, expected a list of strings")
