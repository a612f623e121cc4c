"""What glibc does with blocks of memory, told by functions that a process of its own calls.

What other tests left in the heap would decide where a block lies.
"""

import resource

from fastbert_core import memory

SIZE = 64 * 2**20  # bytes, more than glibc would ever keep by itself


def faults() -> int:
    """Pages that the kernel hands out while a large block is made and dropped four times."""
    before = resource.getrusage(resource.RUSAGE_SELF).ru_minflt
    for _ in range(4):
        b"x" * SIZE
    return resource.getrusage(resource.RUSAGE_SELF).ru_minflt - before


def faults_before_within_and_after() -> tuple[int, ...]:
    before = faults()
    with memory.freed_memory_kept():
        b"x" * SIZE
        within = faults()
    return before, within, faults()


def resident() -> int:
    """Bytes of memory that the process holds now."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * resource.getpagesize()


def grown_within_and_after() -> tuple[int, ...]:
    with memory.freed_memory_kept():
        before = resident()
        b"x" * (4 * SIZE)
        within = resident() - before
    return within, resident() - before


def grown_beside_holes() -> tuple[int, ...]:
    """Bytes beyond what is in use, after half of many blocks gave way to slightly larger ones."""
    with memory.freed_memory_kept():
        before = resident()
        blocks = [b"x" * (SIZE // 2) for _ in range(8)]
        del blocks[::2]
        blocks += [b"x" * (SIZE // 2 + 2**20) for _ in range(4)]
        return (resident() - before - sum(map(len, blocks)),)


def holes_before_and_after_relief() -> tuple[int, ...]:
    """Bytes beyond what is in use, of half of many blocks: while memory is ample, and once it is scarce."""
    holes = []
    with memory.freed_memory_kept() as relieve:
        before = resident()
        blocks = [b"x" * (SIZE // 2) for _ in range(8)]
        del blocks[::2]
        for left in (memory.SCARCE, memory.SCARCE - 1):
            memory.available = lambda left=left: left
            relieve()
            holes.append(resident() - before - sum(map(len, blocks)))
    return tuple(holes)
