import re

import pytest
import torch
from safetensors import SafetensorError

from fastbert_core.checkpoint import load_checkpoint, save_checkpoint
from fastbert_core.errors import InputError, RunError

TENSORS = {"weight": torch.arange(600.0).view(20, 30), "step": torch.tensor(3.0), "random": torch.get_rng_state()}
STATE = {"step": 3, "notes": {"dev_accuracy": [0.1, 0.2]}}


@pytest.fixture
def path(tmp_path):
    save_checkpoint(tmp_path / "run" / "c.safetensors", TENSORS, STATE)
    return tmp_path / "run" / "c.safetensors"


def test_what_was_saved_comes_back(path):
    tensors, state = load_checkpoint(path)
    assert state == STATE
    assert tensors.keys() == TENSORS.keys()
    assert all(torch.equal(tensors[name], TENSORS[name]) for name in TENSORS)
    assert all(tensors[name].dtype == TENSORS[name].dtype for name in TENSORS)
    assert [file.name for file in path.parent.iterdir()] == ["c.safetensors"]


@pytest.mark.parametrize("keep", [0, 5, 200, -1])
def test_a_truncated_file_is_found(path, keep):
    path.write_bytes(path.read_bytes()[:keep])
    with pytest.raises(InputError, match=r"c\.safetensors: not a readable checkpoint"):
        load_checkpoint(path)


def test_a_flipped_bit_is_found_wherever_it_is(path):
    whole = path.read_bytes()
    for place in (*range(8), *range(8, len(whole), 37)):  # the header's length, its text, and tensors
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        told = "(found content that does not match|not a readable)"
        if place >= len(whole) - 2400:  # in a tensor
            told = "found content that does not match its sha256"
        with pytest.raises(InputError, match=rf"c\.safetensors: {told}"):
            load_checkpoint(path)


def test_a_disk_that_is_full_for_the_library_that_writes_is_told_in_one_line(path, monkeypatch):
    def full(*_, **__):
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr("fastbert_core.checkpoint.save_file", full)
    with pytest.raises(RunError, match=rf"^{re.escape(str(path))}: I/O error: No space left on device"):
        save_checkpoint(path, {"weight": torch.zeros(2)}, {})
    assert load_checkpoint(path)[1] == STATE
    assert [file.name for file in path.parent.iterdir()] == ["c.safetensors"]
