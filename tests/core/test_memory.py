import platform
import resource

import pytest
import torch

from fastbert_core.memory import freed_memory_kept

pytestmark = pytest.mark.skipif(platform.libc_ver()[0] != "glibc", reason="glibc alone can be told")
SIZE = 64 * 2**20  # bytes, more than glibc would ever keep by itself


def faults(times: int) -> int:
    """Pages that the kernel handed out while a large tensor was made and dropped `times` times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(times):
        torch.ones(SIZE, dtype=torch.uint8)
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def resident() -> int:
    """Bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def test_a_tensor_that_is_freed_and_made_again_takes_no_new_pages() -> None:
    usual = faults(4)
    with freed_memory_kept():
        faults(1)
        assert faults(4) < usual / 4
    assert faults(4) > usual / 2


def test_what_was_kept_goes_back_at_the_end() -> None:
    with freed_memory_kept():
        before = resident()
        torch.ones(4 * SIZE, dtype=torch.uint8)
        assert resident() - before > 3 * SIZE
    assert resident() - before < SIZE
