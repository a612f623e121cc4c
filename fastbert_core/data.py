"""A task's labelled text: what was read, where it came from, and what identifies it."""

import hashlib
import json
import logging
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.files import readable
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tasks import TASKS, Task
from fastbert_core.tsv import Split, read_tsv

log = logging.getLogger(__name__)

CARVE_SEED, CARVED, SHARE = 7, 2000, 0.2  # of rows taken out of train: at most so many, and at most that share
SUFFIXES = (".tsv", ".tsv.xz", ".tsv.gz")


@dataclass(frozen=True)
class TaskData:
    """A task's three splits, where they came from, and the SHA-256 of what they hold."""

    task: Task
    train: Split
    dev: Split
    test: Split
    source: str
    sha256: str

    @cached_property
    def learnable(self) -> Split:
        """The training rows whose texts do not stand in the test set too."""
        return without(self.train, self.test)

    @cached_property
    def held_out(self) -> Split:
        """The dev rows whose texts stand neither in the test set nor in train, of which a model knows the answers."""
        return without(self.dev, self.train, self.test)


def assemble(task: Task, train: Split, dev: Split, test: Split, source: str, train_name: str) -> TaskData:
    """Put three labelled splits together, with the hash of their content.

    Logs a warning with the count if test texts stand in train too, as they do in four of the public sets. Raises
    InputError, beginning with `train_name`, if a class never occurs in training.
    """
    check_classes(train, task, train_name)
    # The classes of the suite's own tasks never change; a user may set those of a task file right.
    named = [] if task.name in TASKS else task.classes
    data = TaskData(task, train, dev, test, source, content_hash(named, train, dev, test))
    if shared := overlap(data):
        log.warning("%s: %d test texts also stand in its training set", task.name, shared)
    return data


def check_classes(train: Split, task: Task, name: str) -> None:
    """Raise InputError, beginning with `name`, if a class of the task never occurs in `train`."""
    unseen = TASK_TYPES[task.type].unseen(train.labels, len(task.classes))
    missing = [f"{label} ({task.classes[label]})" for label in unseen]
    if missing:
        raise InputError(f"{name}: no text of class {', '.join(missing)}, expected at least one of each class")


def overlap(data: TaskData) -> int:
    """How many different test texts (of a pair task: pairs) stand in the training set too, normalised."""
    return len(set(_keys(data.test)) & set(_keys(data.train)))


def without(split: Split, *others: Split) -> Split:
    """The rows of `split` whose text, or pair of texts, does not stand in any of `others`, all normalised."""
    known = set().union(*map(_keys, others))
    kept = [row for row, key in enumerate(_keys(split)) if key not in known]
    return split if len(kept) == len(split) else split.take(np.array(kept, np.int64))


def halves(split: Split, seed: int) -> tuple[Split, Split]:
    """Two parts of `split` with no row in common, seeded, each in random order: a prefix is a sample."""
    order = np.random.default_rng(seed).permutation(len(split))
    middle = (len(split) + 1) // 2
    return split.take(order[:middle]), split.take(order[middle:])


def _keys(split: Split) -> list[tuple[str, ...]]:
    """Each row's texts, normalised: compatible characters made one, case folded, white space made single spaces."""
    columns = [split.texts] if split.pairs is None else [split.texts, split.pairs]
    return [tuple(map(_normal, row)) for row in zip(*columns, strict=True)]


def _normal(text: str) -> str:
    return " ".join(unicodedata.normalize("NFKC", text).casefold().split())


def content_hash(classes: Sequence[str], *splits: Split) -> str:
    """SHA-256 over labels and texts in order, so that neither compression nor the way they were stored matters."""
    digest = hashlib.sha256("".join(f"{name}\n" for name in classes).encode())
    for split in splits:
        digest.update(b"split\n")
        pairs = split.pairs or [None] * len(split)
        for label, text, pair in zip(split.labels.tolist(), split.texts, pairs, strict=True):
            digest.update(json.dumps([label, text, pair], ensure_ascii=False).encode())
    return digest.hexdigest()


def load_files(task: Task, files: Sequence[Path]) -> TaskData:
    """Read a task from the TSV files of its `splits`. Raises InputError as `read_tsv` and `assemble` do.

    Where there is no test file dev is the test set; where there is then no dev, it is carved out of train.
    """
    found = dict(zip(task.splits, (read_tsv(path, task) for path in files), strict=True))
    if "test" not in found:
        found["test"] = found.pop("dev")
    if "dev" not in found:
        found["train"], found["dev"] = carve(found["train"])
    return assemble(task, found["train"], found["dev"], found["test"], "local files", train_name=str(files[0]))


def carve(train: Split) -> tuple[Split, Split]:
    """What stays, and a seeded part of the rows, each in the file's order: a dev set where there is none."""
    rows = min(CARVED, int(SHARE * len(train)))
    order = np.random.default_rng(CARVE_SEED).permutation(len(train))
    return train.take(np.sort(order[rows:])), train.take(np.sort(order[:rows]))


def load_folder(task: Task, data_dir: Path) -> TaskData:
    """Read a task from `data_dir`/<task>/{train,dev,test}.tsv, each plain, .xz or .gz, or from the task's own folder.

    Raises InputError if the folder or a file is missing, and as `load_files` does.
    """
    folders = [Path(data_dir) / name for name in (task.name, task.folder) if name]
    folder = next((folder for folder in folders if folder.is_dir()), None)
    if folder is None:
        found = " and ".join(map(str, folders))
        raise InputError(f"{found}: no such folder, expected the TSV files of task {task.name}")
    return load_files(task, [_split_file(folder, split) for split in task.splits])


def _split_file(folder: Path, split: str) -> Path:
    found = [path for suffix in SUFFIXES if readable(path := folder / f"{split}{suffix}")]
    if len(found) != 1:
        names = " and ".join(path.name for path in found) or f"no {split}.tsv"
        raise InputError(f"{folder}: found {names}, expected one of {', '.join(split + s for s in SUFFIXES)}")
    return found[0]


def take_rows(split: Split, rows: int, seed: int) -> Split:
    """A seeded subset of `rows` rows, in the file's order; with the same seed a smaller one lies within a larger one.

    Raises InputError if `rows` is less than one or more than there are.
    """
    if not 1 <= rows <= len(split):
        raise InputError(f"train_rows: found {rows}, expected 1 to {len(split)}, which is all there are")
    order = np.random.default_rng(seed).permutation(len(split))
    return split.take(np.sort(order[:rows]))
