import platform
import resource
from collections.abc import Callable
from concurrent.futures import ProcessPoolExecutor
from multiprocessing import get_context

import pytest

from fastbert_core.memory import freed_memory_kept

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
SIZE = 64 * 2**20  # bytes, more than glibc would ever keep by itself


def in_a_fresh_process(measured: Callable[[], tuple[int, ...]]) -> tuple[int, ...]:
    """What `measured` returns there: what other tests left in the heap would decide where a block lies."""
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        return pool.submit(measured).result()


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
