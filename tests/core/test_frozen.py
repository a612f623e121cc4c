import numpy as np
import pytest
import torch

from fastbert_core import frozen
from fastbert_core.backbones import tiny
from fastbert_core.encoding import collate, encode, load_tokenizer
from fastbert_core.frozen import KeptStates, frozen_states
from fastbert_core.model import FastBertModel

TEXTS = ["one two three four five", "two", "three one", "", "five four three two one one two"]


@pytest.fixture
def model(tmp_path):
    torch.manual_seed(7)
    source = tiny(tmp_path, TEXTS, layers=3, hidden=16).source
    return FastBertModel.from_backbone(source, ["a", "b"]), encode(load_tokenizer(source), TEXTS)


def states_of(source, encoded, rows):
    batch = collate(encoded, rows, 0)
    return (*source(rows, batch), batch.mask)


@pytest.mark.parametrize("rows", [[4, 0, 2], [1], [3, 1, 3]])
def test_kept_states_are_those_of_a_pass(model, tmp_path, monkeypatch, rows):
    model, encoded = model
    model.train()  # as fine-tuning leaves it: dropout must not reach the states
    rows = np.array(rows)
    kept = frozen_states(model, encoded, 0, "fp32", tmp_path)
    assert isinstance(kept, KeptStates)
    monkeypatch.setattr(frozen, "MAX_BYTES", 4 * encoded.offsets[-1] * 2 * 16 - 1)
    computed = frozen_states(model, encoded, 0, "fp32", tmp_path)
    assert not isinstance(computed, KeptStates)
    (ours, teacher, mask), (theirs, same_teacher, _) = (states_of(s, encoded, rows) for s in (kept, computed))
    real = torch.ones(len(rows), ours[0].shape[1], dtype=torch.bool) if mask is None else mask
    assert len(ours) == len(theirs) == 2
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one[real], other[real])
        assert not one[~real].any()
    torch.testing.assert_close(teacher, same_teacher)
    assert model.training


def test_students_learn_from_both(model, tmp_path, monkeypatch):
    model, encoded = model
    model.requires_grad_(False)
    model.students.requires_grad_(True)
    rows = np.array([0, 1, 4])
    for limit in (0, frozen.MAX_BYTES):
        monkeypatch.setattr(frozen, "MAX_BYTES", limit)
        hidden, _, mask = states_of(frozen_states(model, encoded, 0, "fp32", tmp_path), encoded, rows)
        model.zero_grad()
        sum(student(h, mask).sum() for student, h in zip(model.students, hidden, strict=True)).backward()
        assert all(parameter.grad is not None for parameter in model.students.parameters())


def test_nothing_is_left_in_the_folder(model, tmp_path):
    model, encoded = model
    folder = tmp_path / "run"
    frozen_states(model, encoded, 0, "fp32", folder)
    assert list(folder.iterdir()) == []
