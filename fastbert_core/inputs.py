"""Any table to labelled text: its rows, its classes, its splits."""

import math
from collections.abc import Sequence
from dataclasses import dataclass, field, replace
from typing import Any, NamedTuple

from fastbert_core.columns import Columns, choose_columns, listed, text_of, told
from fastbert_core.data import TaskData, content_hash
from fastbert_core.division import Data, divided
from fastbert_core.errors import InputError
from fastbert_core.reading import read_tables
from fastbert_core.records import Records, one_of
from fastbert_core.task_types import LISTS, SINGLE, TASK_TYPES, WHOLE, WRITTEN_LIST, TaskType, plain_integer
from fastbert_core.tasks import SCORE
from fastbert_core.tsv import Split


class Known(NamedTuple):
    """What a type asks of a Task to read labels. The names are those that a table has, whatever they are."""

    name: str
    classes: tuple[str, ...]
    scores: tuple[float, float] | None


@dataclass(frozen=True)
class Rows:
    """A table's texts, and its labels as they were read: names, None where a row has none."""

    name: str
    texts: list[str]
    pairs: list[str] | None
    labels: list[str | None]
    places: list[str] = field(repr=False)

    def unlabelled(self) -> "Rows":
        """The same texts without their labels."""
        return replace(self, labels=[None] * len(self.labels))

    def split(
        self, classes: Sequence[str], kind: TaskType = SINGLE, scores: tuple[float, float] | None = None
    ) -> Split:
        """The rows with their labels as the type makes them. Raises InputError for an unknown label."""
        task, labels = Known("data", tuple(classes), scores), []
        for text, value, place in zip(self.texts, self.labels, self.places, strict=True):
            labels.append(kind.none if value is None else kind.named(value, task, place))
            if value is not None:
                kind.check_text(text, labels[-1], place)
        return Split(self.texts, self.pairs, kind.array(labels, len(classes)))

    def scores(self) -> tuple[float, float]:
        """The least and the largest score. Raises InputError, naming its row, for a label that is no number."""
        found = []
        for label, place in zip(self.labels, self.places, strict=True):
            if label is None:
                continue
            try:
                score = float(label)
            except ValueError:
                score = math.nan
            if not math.isfinite(score):
                raise InputError(f"{place}: found the score {label[:40]!r}, expected a finite number")
            found.append(score)
        if not found or not min(found) < max(found):
            raise InputError(f"{self.name}: found {len(set(found))} different scores, expected two at least")
        return min(found), max(found)


def read_rows(records: Records, columns: Columns, kind: TaskType = SINGLE) -> Rows:
    """All rows of a table. Raises InputError, naming line or row, for what is no text or has nothing to be seen."""
    texts, pairs, values, places = [], [], [], []
    for number, row in records.rows:
        place = records.at(number)
        texts.append(text_of(row, columns.text, place, kind.of_words))
        if columns.pair is not None:
            pairs.append(text_of(row, columns.pair, place))
        value = None if columns.label is None else row.get(columns.label)
        if isinstance(value, LISTS) and any(name is None or name != name for name in value):  # NaN
            raise InputError(f"{place}: found nothing at a place in the {columns.label}, expected a name at each")
        values.append(_plain(value, kind))
        places.append(place)
    if not texts:
        raise InputError(f"{records.name}: found no rows, expected at least one")
    return Rows(records.name, texts, None if columns.pair is None else pairs, values, places)


def _plain(value: Any, kind: TaskType) -> str | None:
    """A label as text, without spaces around it; None where there is none."""
    if value is None or value != value:  # NaN
        return None
    if kind.none is None:
        return kind.cell(value)  # an empty cell says that no label holds
    return kind.cell(value) or None


def classes_of(rows: Rows, kind: TaskType = SINGLE) -> tuple[str, ...]:
    """The names of the classes in label order: integers by size, others by alphabet.

    Raises InputError if there are fewer than two, or so many that they can be no classes.
    """
    if kind.base == "spread":
        return (SCORE,)
    labels = read = [label for label in rows.labels if label]
    listed = kind.classes_of(labels)
    if len(listed) > 1:
        return tuple(listed)
    whole = not listed and all(WHOLE.fullmatch(name) for name in set(labels))
    if whole:
        labels = [number for label in labels if (number := plain_integer(label)) is not None]
    names = set(listed or labels)
    if names and not listed and all(map(WRITTEN_LIST.fullmatch, names)):
        found = f"{rows.name}: found lists as labels, such as {labels[0][:40]!r}"
        raise InputError(f"{found}, expected one class a row; --type multi-label reads several")
    if len(names) < 2:
        remedy = "" if len(labels) == len(read) else "; a label of -1 among integers means none: write a word"
        found = f"no class but {names.pop()!r}" if names else "no label"
        raise InputError(f"{rows.name}: found {found}, expected two classes at least{remedy}")
    if len(names) > max(2, len(labels) // 2):
        found = f"{rows.name}: found {len(names)} different labels in {len(labels)} rows, such as {labels[0]!r}"
        raise InputError(f"{found}, expected classes that come again; --label COLUMN names another column")
    return tuple(sorted(names, key=int if whole else str))


def prepare(
    data: Any,
    dev: Any = None,
    test: Any = None,
    *,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    encoding: str | None = None,
    classes: Sequence[str] | None = None,
    type: str = SINGLE.name,
    scores: tuple[float, float] | None = None,
) -> Data:
    """Read `data`, and `dev` and `test` where they lie apart, each of them as `read_tables` takes it.

    classes: names in label order, where something else decides them; then the data need no labels, and a column that
        `label` does not name, and that holds none of the classes, is of something else
    type: of the task, one of TASK_TYPES
    scores: the least and the largest of a regression, None for those of the training rows

    A test split beside the training rows that has no labels is passed over; one that is named must have some.
    Training rows whose text stands in test are left out, and dev rows whose text stands in train or test. Without dev
    rows a seeded part of train is held out, of each class alike. Half of the held-out rows choose the best epoch, the
    others the thresholds; unlabelled ones are for thresholds, and the rest of them to learn from.
    Raises InputError, naming file and line, for what is not as it should be.
    """
    tables = read_tables(data, encoding)
    tables |= {
        name: one_of(read_tables(part, encoding), name, "train")
        for name, part in (("dev", dev), ("test", test))
        if part is not None
    }
    kind, needs_labels = TASK_TYPES[type], classes is None
    columns = choose_columns(one_of(tables, "train"), text, pair, label, needs_labels, kind)
    rows = {}
    for name, records in tables.items():
        needed = columns._replace(label=None) if name == "dev" else columns  # whose rows may serve thresholds alone
        if lacking := [column for column in needed if column is not None and column not in records.columns]:
            found = f"{records.name}: found {listed(records)}, expected {lacking[0]!r}"
            raise InputError(f"{found}, which the training rows are read from")
        rows[name] = read_rows(records, columns, kind)
    if kind.base == "spread":
        scores = _range(scores) if scores is not None else rows["train"].scores()
    elif scores is not None:
        raise InputError(f"scores: found a range with the type {type}, expected none but of a regression")
    classes = tuple(classes or classes_of(rows["train"], kind))
    try:
        splits = {name: part.split(classes, kind, scores) for name, part in rows.items()}
    except InputError:
        if needs_labels or label is not None or any(set(classes) & set(part.labels) for part in rows.values()):
            raise
        columns = columns._replace(label=None)
        splits = {name: part.unlabelled().split(classes, kind, scores) for name, part in rows.items()}
    said = [told(columns, tables["train"].columns)]
    if needs_labels and test is None and "test" in splits and not kind.known(splits["test"].labels).any():
        del splits["test"]  # whose labels its owner keeps
        said.append("test rows left out, none of them has a label")
    name = tables["train"].name
    sha256 = content_hash(classes, *splits.values())
    return divided(name, classes, splits, said, needs_labels, sha256, type, scores)


def _range(scores: Any) -> tuple[float, float]:
    """The least and the largest score. Raises InputError unless they are that."""
    try:
        low, high = map(float, scores)
    except (TypeError, ValueError):
        low = high = math.nan
    if not -math.inf < low < high < math.inf:
        raise InputError(f"scores: found {scores!r}, expected two numbers, the least and the largest")
    return low, high


def rows_for(
    data: Any,
    classes: Sequence[str],
    labelled: bool,
    *,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    encoding: str | None = None,
    kind: TaskType = SINGLE,
    scores: tuple[float, float] | None = None,
) -> Split:
    """The rows of `data`, of several splits those of test, for a model that has these classes.

    labelled: whether there must be labels; where there need be none, a column that `label` does not name, and whose
        labels are other ones, is of something else. Raises InputError as `prepare` does, and for labels that are not
        these.
    """
    records = one_of(read_tables(data, encoding), "test", "train", "dev")
    columns = choose_columns(records, text, pair, label, labelled, kind)
    rows = read_rows(records, columns, kind)
    try:
        return rows.split(classes, kind, scores)
    except InputError:
        known = kind.of_words and columns.label == kind.columns[1]  # tags, by the name of their column
        if labelled or label is not None or known:
            raise
    return rows.unlabelled().split(classes, kind, scores)


def rows_of_task(
    data: TaskData, classes: Sequence[str], labelled: bool, kind: TaskType, scores: Sequence[float] | None
) -> Split:
    """The test rows of one of the suite's own tasks, for a model that has these classes, as `rows_for` has them."""
    task = data.task
    if (task.type, task.classes, task.scores) == (kind.name, tuple(classes), scores and tuple(scores)):
        return data.test
    if labelled:
        theirs, ours = (", ".join(names[:5]) + ", …" * (len(names) > 5) for names in (task.classes, classes))
        found = f"{task.name}: found a {task.type} task of {theirs}"
        raise InputError(f"{found}, expected one of the model's own type and classes, {kind.name} of {ours}")
    return replace(data.test, labels=kind.array([kind.none] * len(data.test), len(classes)))


def of_task(data: TaskData) -> Data:
    """One of the suite's own tasks, whose data have all three splits."""
    splits = {"train": data.train, "dev": data.dev, "test": data.test}
    task = data.task
    return divided(task.name, task.classes, splits, [data.source], True, data.sha256, task.type, task.scores)
