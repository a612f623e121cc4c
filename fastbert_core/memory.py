"""Memory: freed, it stays with the process, since the next training step asks for as much again; and run out."""

import ctypes
import platform
import re
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

# glibc's malloc.h: options of mallopt, by number.
TRIM_THRESHOLD, MMAP_THRESHOLD, MMAP_MAX = -1, -3, -4
KEEP = {MMAP_MAX: 0, TRIM_THRESHOLD: -1}
GIVE_BACK = {MMAP_THRESHOLD: 2**20}
# Where glibc's own adaptation ends, which setting any of them has switched off.
USUAL = {MMAP_MAX: 65536, MMAP_THRESHOLD: 32 * 2**20, TRIM_THRESHOLD: 64 * 2**20}
AMPLE, SCARCE = 12 * 2**30, 2 * 2**30


@contextmanager
def freed_memory_kept() -> Iterator[Callable[[], None]]:
    """Within, what is freed is kept for the next allocation; at the end it goes back to the system.

    Otherwise glibc maps each tensor above 32 MiB anew, and the kernel zeroes it page by page: a tenth or more of a
    training step's time on two cores. But what is kept has holes, into which the next tensors do not fit: a third to a
    half of what is in use, and more the longer it goes on. So where fewer than AMPLE bytes can be had, each tensor is a
    map of its own that ends with it, as slow as that is. It is the main thread's memory; where the C library is
    another, nothing happens.

    Yields: what to call after each step: where fewer than SCARCE bytes are left, it gives the holes back
    """
    if platform.libc_ver()[0] != "glibc":
        yield lambda: None
        return
    libc = ctypes.CDLL(None)

    def relieve() -> None:
        if available() < SCARCE:
            libc.malloc_trim(0)

    _set(libc, KEEP if available() >= AMPLE else GIVE_BACK)
    try:
        yield relieve
    finally:
        _set(libc, USUAL)
        libc.malloc_trim(0)


def available(system: Path = Path("/")) -> int:
    """Bytes of memory that Linux can give out without swapping, no more than is left of a container's limit."""
    found = re.search(r"^MemAvailable: *(\d+) kB", (system / "proc/meminfo").read_text(), re.MULTILINE)
    free, group = 1024 * int(found[1]), system / "sys/fs/cgroup"
    limit = group / "memory.max"
    if limit.is_file() and (most := limit.read_text().strip()) != "max":
        cached = re.search(r"^inactive_file (\d+)", (group / "memory.stat").read_text(), re.MULTILINE)
        free = min(free, int(most) - int((group / "memory.current").read_text()) + int(cached[1]))
    return free


def _set(libc: ctypes.CDLL, options: dict[int, int]) -> None:
    for option, value in options.items():
        libc.mallopt(option, value)


def out_of_memory(error: BaseException) -> bool:
    """Whether memory ran out. On the CPU PyTorch has no class of its own for that; a GPU's is known by its name."""
    named = isinstance(error, MemoryError) or type(error).__name__ == "OutOfMemoryError"
    return named or "can't allocate memory" in str(error)
