"""The user's own task, read from a TOML file."""

import math
import os
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import expanded, readable
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.tasks import TASKS, Task, read_task

REQUIRED = {"name": str, "language": str, "labels": list, "train": str, "dev": str, "test": str}
OPTIONAL = {"pair": bool, "backbone": str, "type": str, "metrics": list, "scores": list}
# How it is trained, by the names that `fastbert train` has for them; the profile decides what is left out.
SETTINGS = {"epochs": int, "rate": float, "student_epochs": int, "student_rate": float}
SETTINGS |= {"batch_size": int, "max_tokens": int, "seed": int}
STREAMS = ("/dev", "/dev/fd", "/proc/self/fd")  # folders of /dev/stdin and of <(…), where no data lie
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*(/[A-Za-z0-9][\w.-]*)?", re.ASCII)


@dataclass(frozen=True)
class TaskFile:
    """The user's own task, its three TSV files, its backbone (a folder, or a hub id) where one is named, and those of
    SETTINGS that it has."""

    task: Task
    train: Path
    dev: Path
    test: Path
    backbone: Path | str | None
    settings: dict[str, int | float] = field(default_factory=dict)


def read_task_file(path: Path) -> TaskFile:
    """Read a task from TOML. Paths in it, a backbone's folder among them, are relative to the file, or begin with ~.

    A backbone that is no folder, and may be a hub id, is taken for one.

    Where it comes through one of the process's own STREAMS, they are relative to the folder one is in.

    Keys: name, language ("en" or "zh"), labels (class names in label order), train, dev, test (TSV files); and,
    if need be, pair (default false), backbone (default: the profile's), type (one of TASK_TYPES, default: single-label)
    and metrics (of that type); of a regression scores, the least and the largest, in the place of labels; and any of
    SETTINGS. Raises InputError naming the file and the key for a missing or unreadable file, an unknown or missing key,
    a value of the wrong type, or a name that is taken.
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
    known = TASK_TYPES[task.type].metrics
    if unknown := [name for name in task.metrics if name not in known]:
        raise InputError(f"{path}: metrics: found the metric {unknown[0]!r}, expected one of {', '.join(known)}")
    folder = Path() if str(path.parent) in STREAMS else path.parent
    backbone = table.get("backbone")
    if backbone is not None and (os.path.isdir(folder / expanded(backbone)) or not HUB_ID.fullmatch(backbone)):
        backbone = folder / expanded(backbone)
    train, dev, test = (folder / expanded(table[split]) for split in ("train", "dev", "test"))
    settings = {key: kind(table[key]) for key, kind in SETTINGS.items() if key in table}
    return TaskFile(task, train, dev, test, backbone, settings)


def _check_keys(path: Path, table: dict) -> None:
    types = REQUIRED | OPTIONAL | SETTINGS
    for key, value in table.items():
        if key not in types:
            raise InputError(f"{path}: unknown key {key!r}, expected only {', '.join(types)}")
        if key in SETTINGS:
            _check_setting(path, key, value)
        elif not isinstance(value, types[key]):
            raise InputError(f"{path}: {key} is {value!r}, expected a {types[key].__name__}")
    scored = table.get("type") == "regression"
    _check_type(path, table, scored)
    for key in REQUIRED:
        if key not in table and not (key == "labels" and scored):
            raise InputError(f"{path}: no key {key!r}, expected {', '.join(REQUIRED)}")
    for key in ("labels", "metrics"):
        if not all(isinstance(label, str) for label in table.get(key, [])):
            raise InputError(f"{path}: {key} is {table[key]!r}, expected a list of strings")


def _check_setting(path: Path, key: str, value: object) -> None:
    if SETTINGS[key] is float and not (type(value) is float and 0 < value < 1):
        raise InputError(f"{path}: {key} is {value!r}, expected a number between 0 and 1, such as 2e-5")
    least = 0 if key == "seed" else 1
    if SETTINGS[key] is int and not (type(value) is int and least <= value < 2**32):
        raise InputError(f"{path}: {key} is {value!r}, expected a whole number from {least}")


def _check_type(path: Path, table: dict, scored: bool) -> None:
    if table.get("type", SINGLE.name) not in TASK_TYPES:
        raise InputError(f"{path}: type is {table['type']!r}, expected one of {', '.join(TASK_TYPES)}")
    scores = table.get("scores", [])
    if scored != ("scores" in table) or (scored and "labels" in table):
        expected = "scores in the place of labels with type regression, and with no other"
        raise InputError(f"{path}: found {'' if scores else 'no '}scores, expected {expected}")
    whole = len(scores) == 2 and all(type(score) in (int, float) and math.isfinite(score) for score in scores)
    if scored and not (whole and scores[0] < scores[1]):
        raise InputError(f"{path}: scores is {scores!r}, expected the least and the largest score")
