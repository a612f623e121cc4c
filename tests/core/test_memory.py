import ctypes
import os
import platform
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch

from fastbert_core import frozen
from fastbert_core.encoding import collate
from fastbert_core.frozen import KeptStates
from fastbert_core.memory import AMPLE, available
from tests.core import heap
from tests.core.heap import SIZE, resident
from tests.core.small import encoded_samples, make_model

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")


def in_a_fresh_process(measured, can_be_had=AMPLE):
    """What the function of tests.core.heap returns there, where so many bytes of memory can be had."""
    code = f"""
from fastbert_core import memory
from tests.core import heap
memory.available = lambda: {can_be_had}
print(*heap.{measured.__name__}())
"""
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, cwd=Path(__file__).parents[2], capture_output=True, text=True, check=True)
    return map(int, done.stdout.split())


def test_a_block_that_is_freed_and_made_again_takes_no_new_pages():
    before, within, after = in_a_fresh_process(heap.faults_before_within_and_after)
    assert within < before / 4
    assert after > before / 2


def test_what_was_kept_goes_back_at_the_end():
    within, after = in_a_fresh_process(heap.grown_within_and_after)
    assert within > 3 * SIZE
    assert after < SIZE


@pytest.mark.parametrize(("can_be_had", "holes"), [(AMPLE, True), (AMPLE - 1, False)])
def test_where_memory_is_scarce_holes_are_given_back(can_be_had, holes):
    (wasted,) = in_a_fresh_process(heap.grown_beside_holes, can_be_had)
    assert (wasted > 3 * SIZE // 2) == holes
    assert holes or wasted < SIZE // 4


def test_holes_go_back_once_others_have_taken_the_memory():
    ample, scarce = in_a_fresh_process(heap.holes_before_and_after_relief)
    assert ample > SIZE
    assert scarce < SIZE // 4


def test_the_memory_that_can_be_had_is_no_more_than_is_left_of_a_containers(tmp_path):
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    8 kB\n")
    assert available(tmp_path) == 8 * 1024
    group = tmp_path / "sys" / "fs" / "cgroup"
    group.mkdir(parents=True)
    (group / "memory.current").write_text("3000\n")
    (group / "memory.stat").write_text("file 2500\ninactive_file 1000\n")  # cached, and given up when asked for
    for text, expected in (("max\n", 8 * 1024), ("99999\n", 8 * 1024), ("4096\n", 2096)):
        (group / "memory.max").write_text(text)
        assert available(tmp_path) == expected


def test_kept_states_do_not_stay_in_memory(tmp_path, monkeypatch):
    model = make_model(layers=3, hidden_size=512)
    encoded = encoded_samples([40] * 1200)

    def passed(model, batch, layers):
        return [torch.zeros(*batch.input_ids.shape, 512) for _ in layers], torch.zeros(len(batch.input_ids), 3)

    monkeypatch.setattr(frozen, "_pass", passed)
    kept = KeptStates(model, encoded, 0, "fp32", tmp_path, range(1, 3))
    ctypes.CDLL(None).malloc_trim(0)  # or what is free in the heap would hide what is kept
    before = resident()
    for rows in np.arange(len(encoded)).reshape(-1, 30):
        kept(rows, collate(encoded, rows, 0))
    on_disk, grown = os.fstat(kept._file).st_size, resident() - before
    assert on_disk > 180 * 2**20
    assert grown < on_disk / 4
