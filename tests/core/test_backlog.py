"""The tables of a backlog's results. What takes a cluster is tested in tests/scale."""

import json

import numpy as np
import pyarrow as pa
import pytest

from fastbert_core.backlog import JOB, _check_job, _read, table_of
from fastbert_core.engine import Prediction
from fastbert_core.errors import InputError
from fastbert_core.task_types import TASK_TYPES

LABELS = {
    "single-label": ("law", pa.string(), (0.25, 0.75)),
    "multi-label": (["joy", "fear"], pa.list_(pa.string()), (0.75, 0.5)),
    "regression": (2.5, pa.float64(), (0.5,)),
    "sequence-labelling": (["O", "B-PER"], pa.list_(pa.string()), ([0.25, 0.75], [0.5, 0.5])),
}


@pytest.mark.parametrize("name", TASK_TYPES)
def test_answers_of_every_task_type_have_a_column_of_one_type(name):
    label, expected, p = LABELS[name]
    table = table_of([7], [Prediction(label, 0, 2, 0.25, False, p)], TASK_TYPES[name], probabilities=True)
    assert table.schema.field("label").type == expected
    assert table["label"].to_pylist() == [label]
    assert table["probabilities"].to_pylist() == [list(p)]
    assert table_of([], [], TASK_TYPES[name], probabilities=True).schema == table.schema


def test_columns_are_those_of_the_task_type(tmp_path):
    (path := tmp_path / "words.jsonl").write_text('{"tokens": ["Ada", "wrote"], "tags": ["B-PER", "O"]}\n')
    batch = {"file": np.array([0]), "path": np.array([str(path)])}
    (row, _) = _read(batch, dict.fromkeys(("text", "pair", "encoding")), "sequence-labelling")
    assert row["wrong"] == [""]
    assert json.loads(row["texts"][0]) == [["Ada wrote"]]
    path.write_text('{"tokens": ["Ada", "New York"]}\n')
    (row,) = _read(batch, dict.fromkeys(("text", "pair", "encoding")), "sequence-labelling")
    assert f"{path}:1: found a space in the word 'New York' of tokens" in row["wrong"][0]


@pytest.mark.parametrize("damage", ["{", "[]"])
def test_a_damaged_note_of_the_job_is_told(tmp_path, damage):
    (tmp_path / JOB).write_text(damage)
    with pytest.raises(InputError, match=r"job\.json: found .*, expected what its results are of"):
        _check_job(tmp_path, {})
