"""A task's text from the Hugging Face Hub: the same classes, in the suite's order, whatever the hub calls them."""

import http.client
import itertools
import logging
import os
import threading
import urllib.request
from dataclasses import replace
from pathlib import Path

import datasets
import numpy as np

from fastbert_core.data import CARVE_SEED, TaskData, assemble
from fastbert_core.errors import InputError, reason, refused
from fastbert_core.registry import did_you_mean
from fastbert_core.task_types import TASK_TYPES, number_of
from fastbert_core.tasks import TASKS, Task
from fastbert_core.text import is_blank
from fastbert_core.tsv import Split

log = logging.getLogger(__name__)

NOT_ON_HUB = {"book-review": "its authors ship the three TSVs in their repository, github.com/autoliuweijie/FastBERT"}


def hub_reachable(timeout: float = 15.0) -> bool:
    """Whether the hub (HF_ENDPOINT, if set) answers within `timeout` seconds, name lookup included.

    False without a look where HF_HUB_OFFLINE is set.
    """
    if os.environ.get("HF_HUB_OFFLINE", "").upper() in ("1", "ON", "YES", "TRUE"):
        return False
    endpoint = os.environ.get("HF_ENDPOINT") or "https://huggingface.co"
    answered = threading.Event()

    def ask() -> None:
        try:
            with urllib.request.urlopen(urllib.request.Request(endpoint, method="HEAD"), timeout=timeout):
                answered.set()
        except (OSError, ValueError, http.client.HTTPException) as error:  # no route, no such name, no good answer
            log.info("%s: %s", endpoint, error)

    # A name lookup knows no timeout of its own, so it may be left behind in a thread of its own.
    asking = threading.Thread(target=ask, daemon=True)
    asking.start()
    asking.join(timeout)
    return answered.is_set()


def load_hub(task: Task) -> TaskData:
    """Load a task's data set from the hub, into the datasets library's own cache, and map it.

    No code of the data set's repository is run. Raises InputError if the task has no home on the hub, if the data set
    cannot be loaded, and as `map_dataset` does.
    """
    if task.hub is None:
        where = NOT_ON_HUB.get(task.name, "expected its TSV files")
        raise InputError(f"task {task.name} is not on the Hugging Face Hub: {where}; name their folder instead")
    hub = task.hub
    try:
        loaded = datasets.load_dataset(hub.path, hub.config, revision=hub.revision)
    except Exception as error:  # errors of the datasets library and of the hub client share no base class
        raise InputError(f"hub {hub.path}: cannot be loaded ({type(error).__name__}: {reason(error)})") from error
    return map_dataset(loaded, task)


def map_dataset(loaded: datasets.DatasetDict, task: Task) -> TaskData:
    """Map a data set with the schema of `task.hub` to the suite's texts and label order.

    Texts of several columns are joined in the order of `hub.texts` with `hub.separator`, empty ones passed over. Rows
    without any text are left out, with a warning that counts them. Dev and test splits that the hub does not have are
    carved out of train by CARVE_SEED. The result's task has the source's own classes where it names any. Raises
    InputError for a missing split or column, a label name that the suite does not know, or fewer rows than the carved
    splits ask for.
    """
    hub = task.hub
    task = replace(task, classes=hub.classes or task.classes)
    splits = {"train": "train", "dev": hub.dev, "test": hub.test}  # by the hub's names, or numbers of rows to carve out
    named = {split: _map_split(loaded, name, task) for split, name in splits.items() if isinstance(name, str)}
    train = named["train"]
    order = np.random.default_rng(CARVE_SEED).permutation(len(train))
    for split, rows in (("test", hub.test), ("dev", hub.dev)):
        if isinstance(rows, int):
            if rows >= len(order):
                raise InputError(
                    f"hub {hub.path}: {len(order)} rows in train, expected more than the {rows} of {split}"
                )
            carved, order = order[:rows], order[rows:]
            named[split] = train.take(np.sort(carved))
    train = train.take(np.sort(order)) if len(order) < len(train) else train
    source = f"hub {hub.path} ({hub.config}) at {hub.revision or 'main'}"
    return assemble(task, train, named["dev"], named["test"], source, train_name=f"hub {hub.path}, train")


def _map_split(loaded: datasets.DatasetDict, name: str, task: Task) -> Split:
    hub, place = task.hub, f"hub {task.hub.path}, {name}"
    if name not in loaded:
        raise InputError(f"hub {hub.path}: no split {name!r}, found {', '.join(loaded)}")
    rows = loaded[name]
    for column in (hub.label, *hub.texts):
        if column not in rows.column_names:
            raise InputError(f"{place}: no column {column!r}, found {', '.join(rows.column_names)}")
    labels = _labels(rows, task, place)
    columns = [[_text(value) for value in rows[column][:]] for column in hub.texts]
    joined = (hub.separator.join(filter(None, map(str.strip, parts))) for parts in zip(*columns, strict=True))
    texts = columns if task.pair else [list(joined)]
    kept = [row for row in range(len(rows)) if not any(is_blank(text[row]) for text in texts)]
    if len(kept) < len(rows):
        log.warning("%s: %d rows without text left out", place, len(rows) - len(kept))
    return Split(texts[0], texts[1] if task.pair else None, labels).take(np.array(kept, np.int64))


def _text(value: str | list[str] | None) -> str:
    """A cell's text; of a list of words, these with single spaces between them."""
    return " ".join(value) if isinstance(value, list) else value or ""


def _labels(rows: datasets.Dataset, task: Task, place: str) -> np.ndarray:
    """The suite's labels, as the task type has them, by the name (or else the number) that the hub gives each class."""
    values, feature, kind = rows[task.hub.label][:], rows.features[task.hub.label], TASK_TYPES[task.type]
    if task.scores is not None:
        return kind.array([kind.label(str(value), task, place) for value in values], len(task.classes))
    listed, lookup = isinstance(feature, datasets.List), {}
    feature = feature.feature if listed else feature
    for value in set(itertools.chain(*values)) if listed else set(values):
        known_number = isinstance(feature, datasets.ClassLabel) and value is not None and value >= 0
        name = feature.int2str(value) if known_number else str(value)
        lookup[value] = number_of(task.hub.names.get(name, name), task.classes, place)
    labels = [tuple(lookup[one] for one in value) if listed else lookup[value] for value in values]
    return kind.array(labels, len(task.classes))


def load_named(name: str) -> datasets.DatasetDict:
    """Any data set: of the hub (`owner/name`, perhaps with `:configuration`), or in a folder of the hub's form.

    No code of its repository is run. Raises InputError if it cannot be had.
    """
    path, _, config = (name, "", "") if os.path.isdir(name) else name.partition(":")
    expected = "expected a file, a folder, a task (fastbert list tasks), or a data set that the hub has"
    logging.getLogger("datasets").setLevel(logging.CRITICAL)  # what it logs is told in one line
    with refused(f"{name}: cannot be loaded (", f"), {expected}{did_you_mean(name, TASKS)}"):
        return datasets.load_dataset(path, config or None)


def load_saved(folder: Path) -> datasets.DatasetDict | datasets.Dataset:
    """What `save_to_disk` of the datasets library wrote. Raises InputError if it cannot be read."""
    with refused(f"{folder}: cannot be loaded (", "), expected a saved data set"):
        return datasets.load_from_disk(str(folder))
