"""Traces of other models: what is read, and every way in which a file may not fit."""

import zipfile

import numpy as np
import pytest
from scipy.special import softmax

from fastbert_core.errors import InputError
from fastbert_core.foreign import calibrating, load_foreign
from fastbert_core.tasks import SAFE_NAME

RNG = np.random.default_rng(0)
LOGITS = RNG.normal(0, 2, (30, 4, 3))
P = softmax(LOGITS, axis=-1)
WHOLE = {"probabilities": P, "labels": RNG.integers(3, size=30), "cost": np.array([3, 1, 1, 2.5])}


def written(folder, name="My Model.npz", **changes):
    arrays = {name: value for name, value in (WHOLE | changes).items() if value is not None}
    np.savez(folder / name, **arrays)
    return folder / name


def test_probabilities_or_logits(tmp_path):
    of_p = load_foreign(written(tmp_path))
    of_logits = load_foreign(written(tmp_path, "other.npz", probabilities=None, logits=LOGITS))
    np.testing.assert_allclose(of_p.probabilities, of_logits.probabilities, atol=1e-6)
    np.testing.assert_allclose(np.exp(of_logits.logsumexp), np.exp(LOGITS).sum(axis=-1), rtol=1e-5)
    assert of_p.logsumexp is None
    assert of_p.metadata["task"] == "my-model"
    assert of_p.metadata["layers"] == [1, 2, 3, 4]
    assert of_p.metadata["cost"] == [3, 1, 1, 2.5]
    np.testing.assert_array_equal(of_p.labels, WHOLE["labels"])


@pytest.mark.parametrize(
    ("name", "task"),
    [("_theirs", "theirs"), ("Modèle 2", "mod-le-2"), ("模型", None), ("a" * 70, "a" * 64)],
)
def test_the_task_is_called_by_what_tables_allow_of_the_file_s_name(tmp_path, name, task):
    found = load_foreign(written(tmp_path, f"{name}.npz")).metadata
    assert found["task"] == (task or found["run_id"])
    assert SAFE_NAME.fullmatch(found["task"])


def test_logits_that_rule_a_class_out_are_read(tmp_path):
    masked = np.where(np.arange(3) == 1, np.finfo(np.float32).min, LOGITS).astype(np.float32)
    found = load_foreign(written(tmp_path, probabilities=None, logits=masked))
    assert (found.probabilities[..., 1] == 0).all()
    np.testing.assert_allclose(found.probabilities.sum(axis=-1), 1, atol=1e-6)
    assert np.isfinite(found.logsumexp).all()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"probabilities": None}, "found neither of them, expected probabilities or logits"),
        ({"logits": LOGITS}, "found probabilities and logits, expected probabilities or logits"),
        ({"cost": None}, "found no cost, expected probabilities or logits, labels, and the cost of each layer"),
        ({"cost": np.ones(3)}, r"found cost of type float64 and shape \[3\], expected positive numbers \[4\]"),
        ({"cost": np.array([1, 0, 1, 1.0])}, "expected positive numbers"),
        ({"labels": np.full(30, 3)}, "found labels from 3 to 3, expected 0 to 2"),
        ({"labels": np.zeros(29, int)}, r"found labels of type int64 and shape \[29\], expected integers \[30\]"),
        ({"probabilities": P * 1.01}, "found a row 0.01 away from summing to 1, expected at most 0.0001"),
        ({"probabilities": P[0]}, r"found probabilities of type float64 and shape \[4, 3\]"),
        ({"probabilities": np.where(P < 0.1, np.nan, P)}, "found probabilities that are not finite"),
        ({"probabilities": P * 1e300}, "found a row inf away from summing to 1"),
        ({"probabilities": None, "logits": LOGITS * 1e300}, "e[+]300 in size, expected 700 at most.*probabilities"),
        ({"probabilities": None, "logits": np.full(LOGITS.shape, -1e4)}, r"logsumexp of 1e\+04 in size"),
        ({"classes": np.array(["a", "b"])}, r"found classes of type <U1 and shape \[2\], expected names \[3\]"),
        ({"classes": np.array([["a"], ["b"], ["c"]])}, r"shape \[3, 1\], expected names \[3\]"),
    ],
)
def test_what_does_not_fit_is_named(tmp_path, changes, message):
    path = written(tmp_path, **changes)
    with pytest.raises(InputError, match=message) as caught:
        load_foreign(path)
    assert str(caught.value).startswith(f"{path}: ")


def test_calibration_rows_are_the_same_model_s(tmp_path):
    test = load_foreign(written(tmp_path))
    assert calibrating(test, written(tmp_path, "dev.npz")).metadata["task"] == "my-model"
    with pytest.raises(InputError, match="found other cost than the test rows have"):
        calibrating(test, written(tmp_path, "dev.npz", cost=np.ones(4)))


def test_what_is_no_npz(tmp_path):
    (tmp_path / "a.npz").write_text("no")
    (tmp_path / "b.npz").write_bytes(written(tmp_path).read_bytes()[:-200])
    for name, found in (("a", "another kind of file"), ("b", "another kind of file"), ("missing", "no such file")):
        with pytest.raises(InputError, match=f"{name}.npz: found {found}, expected an npz file of arrays"):
            load_foreign(tmp_path / f"{name}.npz")
    with zipfile.ZipFile(written(tmp_path, "c.npz", labels=None), "a") as archive:
        archive.writestr("labels", "0 1 0 1")
    with pytest.raises(InputError, match=r"c\.npz: found labels of type \|S7 and shape \[\], expected integers"):
        load_foreign(tmp_path / "c.npz")
