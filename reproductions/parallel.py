"""Pieces of work that know nothing of each other, on all cores."""

import multiprocessing
import os
import signal
from collections.abc import Callable, Sequence
from typing import TypeVar

T = TypeVar("T")
FEW = 6  # pieces, fewer of which are done before other processes have started


def each(function: Callable[..., T], pieces: Sequence[tuple]) -> list[T]:
    """What `function(*piece)` returns for every piece, in their order, by a process a core where they are many.

    Another process imports the function by its name. Raises what a piece raises.
    """
    cores = min(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(), len(pieces))
    if len(pieces) < FEW or cores == 1:
        return [function(*piece) for piece in pieces]
    # A fresh interpreter each: a fork would inherit what torch's threads hold.
    with multiprocessing.get_context("spawn").Pool(cores, _begin) as pool:
        return pool.starmap(function, pieces, chunksize=1)


def _begin() -> None:
    """A process of the pool has one core, and leaves Ctrl-C to the main one, which ends it."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
