import os
import platform
import resource
import tempfile
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch

from fastbert_core import frozen, memory
from fastbert_core.encoding import collate
from fastbert_core.frozen import KeptStates
from fastbert_core.memory import AMPLE, available, freed_memory_kept
from tests.core.forked import SERVER
from tests.core.small import encoded_samples, make_model

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
SIZE = 64 * 2**20  # bytes, more than glibc would ever keep by itself


def in_a_fresh_process(measured: Callable[[], tuple[int, ...]], can_be_had: int = AMPLE) -> tuple[int, ...]:
    """What `measured` returns there: what other tests left in the heap would decide where a block lies.

    It finds `can_be_had` bytes of memory, whatever this machine has.
    """
    with ProcessPoolExecutor(1, mp_context=SERVER, initializer=_limit, initargs=(can_be_had,)) as pool:
        return pool.submit(measured).result()


def _limit(can_be_had: int) -> None:
    memory.available = lambda: can_be_had


def faults() -> int:
    """Pages that the kernel hands out while a large block is made and dropped four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b"x" * SIZE
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def faults_before_within_and_after() -> tuple[int, ...]:
    before = faults()
    with freed_memory_kept():
        b"x" * SIZE
        within = faults()
    return before, within, faults()


def resident() -> int:
    """Bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def grown_within_and_after() -> tuple[int, ...]:
    with freed_memory_kept():
        before = resident()
        b"x" * (4 * SIZE)
        within = resident() - before
    return within, resident() - before


def test_a_block_that_is_freed_and_made_again_takes_no_new_pages() -> None:
    before, within, after = in_a_fresh_process(faults_before_within_and_after)
    assert within < before / 4
    assert after > before / 2


def test_what_was_kept_goes_back_at_the_end() -> None:
    within, after = in_a_fresh_process(grown_within_and_after)
    assert within > 3 * SIZE
    assert after < SIZE


def grown_beside_holes() -> tuple[int, ...]:
    """Bytes beyond what is in use, after half of many blocks gave way to slightly larger ones."""
    with freed_memory_kept():
        before = resident()
        blocks = [b"x" * (SIZE // 2) for _ in range(8)]
        del blocks[::2]
        blocks += [b"x" * (SIZE // 2 + 2**20) for _ in range(4)]
        return (resident() - before - sum(map(len, blocks)),)


@pytest.mark.parametrize(("can_be_had", "holes"), [(AMPLE, True), (AMPLE - 1, False)])
def test_where_memory_is_scarce_holes_are_given_back(can_be_had: int, holes: bool) -> None:
    (wasted,) = in_a_fresh_process(grown_beside_holes, can_be_had)
    assert (wasted > 3 * SIZE // 2) == holes
    assert holes or wasted < SIZE // 4


def test_the_memory_that_can_be_had_is_no_more_than_a_containers(tmp_path: Path) -> None:
    (tmp_path / "proc").mkdir()
    (tmp_path / "proc" / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 1 kB\nMemAvailable:    8 kB\n")
    assert available(tmp_path) == 8 * 1024
    limit = tmp_path / "sys" / "fs" / "cgroup" / "memory.max"
    limit.parent.mkdir(parents=True)
    for text, expected in (("max\n", 8 * 1024), ("99999\n", 8 * 1024), ("4096\n", 4096)):
        limit.write_text(text)
        assert available(tmp_path) == expected


def grown_by_reading_kept_states() -> tuple[int, ...]:
    """Bytes on disk that an epoch of batches reads, and by how many the process has grown after it."""
    model = make_model(layers=3, hidden_size=512)
    encoded = encoded_samples([40] * 1200)
    frozen._pass = lambda model, batch, layers: (
        [torch.zeros(*batch.input_ids.shape, 512) for _ in range(2)],
        torch.zeros(len(batch.input_ids), 3),
    )
    with tempfile.TemporaryDirectory() as folder:
        kept = KeptStates(model, encoded, 0, "fp32", Path(folder), range(1, 3))
        before = resident()
        for rows in np.arange(len(encoded)).reshape(-1, 30):
            kept(rows, collate(encoded, rows, 0))
        grown = resident() - before
        return os.fstat(kept._file).st_size, grown


def test_kept_states_do_not_stay_in_memory() -> None:
    on_disk, grown = in_a_fresh_process(grown_by_reading_kept_states)
    assert on_disk > 180 * 2**20
    assert grown < on_disk / 4
