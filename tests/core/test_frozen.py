import errno
import os
import tempfile
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastbert_core import frozen
from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.encoding import collate, encode, sorted_batches
from fastbert_core.frozen import KeptStates, StatesOnDevice, frozen_states
from fastbert_core.heads import logits_of_each
from fastbert_core.model import FastBertModel
from fastbert_core.precision import autocast
from fastbert_core.tracing import evaluating

STUDENTS = range(1, 3)  # the layers before the last
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
    kept = frozen_states(model, encoded, 0, "fp32", tmp_path, print, STUDENTS)
    assert isinstance(kept, KeptStates)
    monkeypatch.setattr(frozen, "MAX_BYTES", 4 * encoded.offsets[-1] * 2 * 16 - 1)
    computed = frozen_states(model, encoded, 0, "fp32", tmp_path, print, STUDENTS)
    assert not isinstance(computed, KeptStates)
    (ours, teacher, mask), (theirs, same_teacher, _) = (states_of(s, encoded, rows) for s in (kept, computed))
    real = torch.ones(len(rows), ours[0].shape[1], dtype=torch.bool) if mask is None else mask
    assert len(ours) == len(theirs) == 2
    for one, other in zip(ours, theirs, strict=True):
        torch.testing.assert_close(one[real], other[real])
        assert not one[~real].any()
    torch.testing.assert_close(teacher, same_teacher)
    assert model.training


def test_nothing_is_left_in_the_folder(model, tmp_path):
    model, encoded = model
    folder = tmp_path / "run"
    frozen_states(model, encoded, 0, "fp32", folder, print, STUDENTS)
    assert list(folder.iterdir()) == []


def test_states_are_kept_where_the_disk_has_room_for_them_and_the_stage_s_files(model, tmp_path, monkeypatch):
    model, encoded = model
    said = []
    enough = 4 * encoded.offsets[-1] * 2 * 16 + 2 * sum(tensor.nbytes for tensor in model.state_dict().values())
    for free, kept in ((enough, True), (enough - 1, False), (0, False)):
        monkeypatch.setattr(frozen.shutil, "disk_usage", lambda _, free=free: SimpleNamespace(free=int(free)))
        states = frozen_states(model, encoded, 0, "fp32", tmp_path, said.append, STUDENTS)
        assert isinstance(states, KeptStates) == kept
    assert len(said) == 2
    assert all(line.startswith(f"{tmp_path}: room for 0.0 GiB of frozen states") for line in said)


@pytest.mark.parametrize(("precision", "width"), [("fp32", 4), ("bf16", 2)])
def test_classifiers_read_the_same_bits_from_disk_as_from_a_pass(model, tmp_path, monkeypatch, precision, width):
    model, encoded = model
    kept = frozen_states(model, encoded, 0, precision, tmp_path, print, STUDENTS)
    assert os.fstat(kept._file).st_size == width * encoded.offsets[-1] * 2 * 16
    monkeypatch.setattr(frozen, "MAX_BYTES", 0)
    computed = frozen_states(model, encoded, 0, precision, tmp_path, print, STUDENTS)
    (rows,) = sorted_batches(encoded.lengths)
    (ours, _, mask), (theirs, _, _) = (states_of(source, encoded, rows) for source in (kept, computed))
    assert theirs.dtype == torch.float32
    with evaluating(model), autocast(model.device, precision):
        said = [torch.stack(logits_of_each(model.classifiers[:2], states, mask)) for states in (ours, theirs)]
    assert torch.equal(*said)


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="needs Linux's full disk")
def test_a_disk_that_fills_up_is_told_with_the_folder(model, tmp_path, monkeypatch):
    model, encoded = model
    monkeypatch.setattr(tempfile, "TemporaryFile", lambda dir: os.fdopen(os.open("/dev/full", os.O_RDWR), "w+b"))
    with pytest.raises(OSError, match=os.strerror(errno.ENOSPC)) as caught:
        frozen_states(model, encoded, 0, "fp32", tmp_path, print, STUDENTS)
    assert caught.value.filename == str(tmp_path)


def test_states_that_are_no_longer_whole_are_not_taken_for_zeros(model, tmp_path):
    model, encoded = model
    kept = KeptStates(model, encoded, 0, "fp32", tmp_path, range(1, 3))
    os.ftruncate(kept._file, os.fstat(kept._file).st_size - 1)
    with pytest.raises(ValueError, match="reshape"):
        kept(np.arange(len(encoded)), collate(encoded, np.arange(len(encoded)), 0))


@pytest.mark.parametrize(("precision", "tolerance"), [("fp32", 1e-6), ("bf16", 0.05)])
def test_states_in_a_device_s_memory_are_those_on_disk(model, tmp_path, precision, tolerance):
    model, encoded = model
    rows = np.array([4, 0, 3, 2])
    disk = KeptStates(model, encoded, 0, precision, tmp_path, range(1, 3))
    memory = StatesOnDevice(model, encoded, 0, precision, range(1, 3))
    (ours, teacher, mask), (theirs, same_teacher, _) = (states_of(s, encoded, rows) for s in (memory, disk))
    assert ours.dtype == theirs.dtype == frozen.STORED[precision]
    assert ours.shape == theirs.shape
    torch.testing.assert_close(ours[:, mask], theirs[:, mask], atol=tolerance, rtol=tolerance)
    torch.testing.assert_close(teacher, same_teacher, atol=tolerance, rtol=tolerance)
    assert ours.isfinite().all()  # of padding too, which is multiplied by 0


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_a_gpu_keeps_states_in_its_memory_where_there_is_room(model, tmp_path, monkeypatch):
    model, encoded = model
    model.cuda()
    said = []
    assert isinstance(frozen_states(model, encoded, 0, "bf16", tmp_path, said.append, STUDENTS), StatesOnDevice)
    monkeypatch.setattr(frozen, "FOR_BATCHES", 2**60)
    assert not isinstance(frozen_states(model, encoded, 0, "bf16", tmp_path, said.append, STUDENTS), StatesOnDevice)
    assert len(said) == 1
    assert said[0].startswith("cuda")
