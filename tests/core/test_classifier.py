"""What `train` tells of bad signs, and the folders that it takes."""

from types import SimpleNamespace

import numpy as np
import pytest

from fastbert_core.classifier import _alone, _check_place, _Job
from fastbert_core.errors import InputError
from fastbert_core.task_types import TASK_TYPES


def held(accuracy, predicted):
    """Tables of ten rows of two classes, of which the commoner has six, and one that has no row."""
    rows = (("good", 6, 10 - predicted), ("bad", 4, predicted), ("odd", 0, 0))
    classes = [dict(zip(("class", "rows", "predicted"), row, strict=True)) for row in rows]
    return {"classes": classes, "points": [{"accuracy": accuracy}], "majority": 60.0}


@pytest.mark.parametrize(
    ("kind", "accuracy", "predicted", "told"),
    [
        ("single-label", 70.0, 0, ["never predicted on the test rows: bad; try more --epochs"]),
        ("single-label", 60.0, 2, ["on the test rows it is no better than the commonest class (60.0%)"]),
        ("multi-label", 60.0, 2, ["on the test rows it is no better than one answer for all (60.0%)"]),
        ("single-label", 60.1, 1, []),
    ],
)
def test_a_class_that_is_never_predicted_and_a_model_that_only_guesses_are_told(kind, accuracy, predicted, told):
    said = []
    _Job._warn_of(SimpleNamespace(kind=TASK_TYPES[kind], _detail=said.append), held(accuracy, predicted), "test")
    assert [line.removesuffix("; try more --epochs or another --rate") for line in said] == [
        f"warning: {line}" for line in told
    ]


@pytest.mark.parametrize(
    ("unk", "told"),
    [
        (1, ["warning: 12% of the tokens are unknown to mine; --backbone names an encoder of this language"]),
        (2, []),  # one in ten
        (None, []),
    ],
)
def test_an_encoder_of_another_language_is_told(unk, told):
    said = []
    job = SimpleNamespace(
        tokenizer=SimpleNamespace(unk_token_id=unk), backbone=SimpleNamespace(name="mine"), _detail=said.append
    )
    ids = np.array([1] * 6 + [2] * 5 + [3] * 39)
    _Job._check_language(job, SimpleNamespace(encoded=SimpleNamespace(ids=ids)))
    assert said == told


def test_a_model_goes_into_a_new_folder_or_with_replace_in_the_place_of_one_of_ours(tmp_path):
    (tmp_path / "empty").mkdir()
    for name in ("new", "empty"):
        _check_place(tmp_path / name, replace=False)
    (tmp_path / "link").symlink_to(tmp_path / "new")
    for name, file in (("ours", "training.json"), ("suite", "config.json"), ("notes", "notes.txt")):
        (tmp_path / name).mkdir()
        (tmp_path / name / file).touch()
    _check_place(tmp_path / "ours", replace=True)
    with pytest.raises(InputError, match="ours: found a trained model, expected a new folder; --replace lets it go"):
        _check_place(tmp_path / "ours", replace=False)
    refused = {"link": "a symbolic link", "suite": r"a model without training\.json", "notes": "something that is no"}
    refused["notes/notes.txt"] = "something that is no model of ours"
    for name, found in refused.items():
        with pytest.raises(InputError, match=f"{name}: found {found}"):
            _check_place(tmp_path / name, replace=True)


def test_two_processes_do_not_train_in_one_folder(tmp_path):
    work = tmp_path / ".model.training"
    with (
        _alone(work),
        pytest.raises(InputError, match="training: found another process training there, expected none"),
        _alone(work),
    ):
        pass
    with _alone(work):  # which is free again
        assert work.is_dir()
