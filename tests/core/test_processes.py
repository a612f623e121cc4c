"""Two processes that train one model: what one process does, in the same order, within rounding."""

import json
import os
import shutil

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from fastbert_core import processes as module
from fastbert_core.errors import InputError, RunError
from fastbert_core.processes import ALONE, Several, processes
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.train import check_shareable
from fastbert_core.trainings import TRAININGS, Schedule, Schedules
from tests.core.together import BATCH, EPOCHS, ROWS, spawn

STEPS = EPOCHS * -(-ROWS // BATCH)
SCHEDULES = Schedules(Schedule(1, 1e-3), Schedule(1, 1e-3))
pytest.importorskip("accelerate")


def made(folder, count, dropout=0.0, kill_at=0):
    """What each of `count` processes tells, and the weights that it ends with."""
    folder.mkdir(exist_ok=True)
    found = spawn(count, folder, str(dropout), str(kill_at))
    if kill_at:
        assert {code for code, _ in found} & {9}
        return None
    assert [code for code, _ in found] == [0] * count, found
    told = [json.loads((folder / f"told-{rank}.json").read_text()) for rank in range(count)]
    return told, [load_file(folder / f"weights-{rank}.safetensors") for rank in range(count)]


def test_two_processes_learn_what_one_does(tmp_path):
    (one,), (expected,) = made(tmp_path / "one", 1)
    both, weights = made(tmp_path / "two", 2)
    assert len(one["rows"]) == 3 * STEPS
    for stage in range(3):
        of_one = one["rows"][stage * STEPS : (stage + 1) * STEPS]
        # The first two are tries of which parameters a step reaches.
        shares = (told["rows"][2 + stage * (STEPS + 2) : (stage + 1) * (STEPS + 2)] for told in both)
        for (step, whole), (one_step, mine), (other_step, others) in zip(of_one, *shares, strict=True):
            assert step == one_step == other_step
            together = [row for pair in zip(mine, others, strict=False) for row in pair] + mine[len(others) :]
            assert whole == (mine if len(whole) == 1 else together)
    for notes, found in zip(one["notes"], both[0]["notes"], strict=True):
        for name in ("train_loss", "held_out_loss", "dev_accuracy"):
            assert found[name] == pytest.approx(notes[name], rel=1e-5)
        assert found.get("best_epoch") == notes.get("best_epoch")
    assert both[1]["notes"] == both[0]["notes"]
    for name, tensor in expected.items():
        assert torch.equal(weights[0][name], weights[1][name]), name
        assert torch.allclose(weights[0][name], tensor, rtol=1e-3, atol=2e-5), name
    assert (both[1]["log"], both[1]["epochs"]) == ([], [])
    assert both[0]["epochs"] == one["epochs"]


def test_killed_processes_go_on_to_the_same_bits_and_one_may_go_on_for_two(tmp_path):
    _, (whole, _) = made(tmp_path / "whole", 2, dropout=0.1)
    made(tmp_path / "pieces", 2, dropout=0.1, kill_at=9)
    shutil.copytree(tmp_path / "pieces", tmp_path / "fewer")
    (told, _), (pieces, _) = made(tmp_path / "pieces", 2, dropout=0.1)
    assert told["log"][0] == "fine-tuning: continuing at step 7"  # 50 steps apart in earnest, here three
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    (fewer,), _ = made(tmp_path / "fewer", 1, dropout=0.1)
    assert fewer["log"][0] == "fine-tuning: continuing at step 7, so far with 2 processes, now with 1"
    assert len(fewer["rows"]) == 3 * STEPS - 7


def several(rank, count):
    one = object.__new__(Several)
    one.rank, one.count = rank, count
    return one


@pytest.mark.parametrize(("rows", "count"), [(32, 2), (7, 3), (1, 2), (2, 8)])
def test_shares_are_a_batch_and_their_weights_make_its_mean(rows, count):
    all_rows, values = np.arange(rows), np.random.default_rng(0).normal(size=rows)
    parts = [several(rank, count).share(all_rows) for rank in range(count)]
    assert sorted(np.concatenate(parts)) == all_rows.tolist()
    means = [several(rank, count).weight(rows) * values[part].mean() for rank, part in enumerate(parts) if len(part)]
    assert sum(means) / count == pytest.approx(values.mean())
    assert [several(rank, count).weight(rows) for rank in range(rows, count)] == [0.0] * max(0, count - rows)


def test_dropout_differs_by_process_and_step_and_is_the_same_again():
    drawn = {}
    for rank in (0, 1):
        for step in (0, 1, 0):
            several(rank, 2).seed(7, step)
            drawn.setdefault((rank, step), set()).add(torch.rand(1).item())
    assert all(len(values) == 1 for values in drawn.values())
    assert len(set.union(*drawn.values())) == 4


@pytest.mark.parametrize(
    ("rank", "told"),
    [(0, "another of the 2 processes has ended (no such GPU); it says why"), (1, "process 1 of 2: no such GPU")],
)
def test_a_process_that_fails_while_others_wait_says_why(rank, told, monkeypatch):
    monkeypatch.setattr(module, "MOMENT", 0)
    with pytest.raises(RunError) as error, module._talking(several(rank, 2)):
        raise RuntimeError("no such GPU")
    assert str(error.value) == told


def test_alone_nothing_of_accelerate_is_asked_for(monkeypatch):
    monkeypatch.delenv("WORLD_SIZE", raising=False)
    monkeypatch.setattr(module, "Several", None)
    processes.cache_clear()
    assert processes("cpu") is ALONE


def test_a_mean_over_tokens_is_not_shared():
    (states, _) = TRAININGS["tinybert"](SCHEDULES)
    words = TASK_TYPES["sequence-labelling"]
    for kind in (SINGLE, words):
        check_shareable(states, kind, ALONE)
    for stage, kind, of in ((states, SINGLE, "tokens"), (TRAININGS["joint"](SCHEDULES)[0], words, "words")):
        with pytest.raises(InputError, match=f"found 2 processes for a loss that is a mean over {of}"):
            check_shareable(stage, kind, several(0, 2))


def test_without_accelerate_its_extra_is_named(monkeypatch):
    def missing(cpu):
        raise ImportError

    monkeypatch.setitem(os.environ, "WORLD_SIZE", "2")
    monkeypatch.setattr(module, "Several", missing)
    processes.cache_clear()
    with pytest.raises(InputError, match=r"accelerate: not installed.*fastbert-core\[cluster\]"):
        processes("cpu")
