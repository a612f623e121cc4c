"""Tasks beside the paper's as the hub has them: the schema of each, mapped to the suite's labels."""

from dataclasses import replace

import datasets
import numpy as np
import pytest

from fastbert_core import hub
from fastbert_core.errors import InputError
from fastbert_core.tasks import TASKS

TEXT = datasets.Value("string")
MORE = {name: task for name, task in TASKS.items() if task.group and task.hub}


def features(task):
    own = {suite: theirs for theirs, suite in task.hub.names.items()}
    names = datasets.ClassLabel(names=[own.get(name, name) for name in task.classes][::-1])
    label = {"single-label": names, "regression": datasets.Value("float32")}.get(task.type, datasets.List(names))
    texts = datasets.List(TEXT) if task.type == "sequence-labelling" else TEXT
    return datasets.Features({**dict.fromkeys(task.hub.texts, texts), task.hub.label: label})


def small(name):
    """The task, with no more than three rows carved out for dev."""
    task = MORE[name]
    return replace(task, hub=replace(task.hub, dev=3)) if isinstance(task.hub.dev, int) else task


def data_of(task, rows):
    """Rows with the hub's columns; its classes are numbered the other way round, so that only their names tell."""
    last = len(task.classes) - 1
    labels = {
        "single-label": lambda row: last - row % (last + 1),
        "regression": lambda row: row % 6,
        "multi-label": lambda row: [last, last - 1 - row % last],
        "sequence-labelling": lambda row: [last, last - 1 - row % last],
    }[task.type]

    def split(name):
        words = [["one", f"{name}-{row}"] for row in range(rows)]
        texts = words if task.type == "sequence-labelling" else [" ".join(row) for row in words]
        columns = dict.fromkeys(task.hub.texts, texts) | {task.hub.label: [labels(row) for row in range(rows)]}
        return datasets.Dataset.from_dict(columns, features(task))

    named = [name for name in (task.hub.dev, task.hub.test) if isinstance(name, str)]
    return datasets.DatasetDict({name: split(name) for name in ("train", *named)})


@pytest.mark.parametrize("name", MORE)
def test_the_suite_s_labels_whatever_the_hub_calls_them(name):
    rows, task = max(60, 4 * len(MORE[name].classes)), small(name)
    data, last = hub.map_dataset(data_of(task, rows), task), len(task.classes) - 1
    expected = {
        "single-label": lambda row: row % len(task.classes),
        "regression": lambda row: row % 6 / 5,
        "multi-label": lambda row: [int(at in (0, 1 + row % last)) for at in range(last + 1)],
        "sequence-labelling": lambda row: (0, 1 + row % last),
    }[task.type]
    assert len(data.test) == rows
    dtypes = {"regression": np.float64, "sequence-labelling": object}
    assert data.train.labels.dtype == dtypes.get(task.type, np.int64)
    for text, label in zip(data.test.texts, data.test.labels.tolist(), strict=True):
        assert label == pytest.approx(expected(int(text.rpartition("-")[2])))
    assert (data.train.pairs is not None) == task.pair


def test_a_score_outside_of_the_range_is_refused():
    task = small("stsb")
    loaded = data_of(task, 60)
    wrong = [-1.0, *loaded["train"]["label"][1:]]
    loaded["train"] = loaded["train"].remove_columns("label").add_column("label", wrong)
    with pytest.raises(InputError, match=r"found the score '-1\.0', expected a number from 0 to 5"):
        hub.map_dataset(loaded, task)
