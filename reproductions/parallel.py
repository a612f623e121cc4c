"""Independent pieces of work, on all cores."""

import os
import signal
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from multiprocessing import active_children, get_context, parent_process
from threading import Thread
from typing import TypeVar

from fastbert_core.errors import RunError

T = TypeVar("T")
FEW = 6  # usual pieces, fewer of which are done before other processes have started


def each(function: Callable[..., T], pieces: Sequence[tuple], few: int = FEW) -> list[T]:
    """What `function(*piece)` returns for every piece, in their order, by a process a core unless they are `few`.

    Another process imports the function by its name. It has one core: where a piece calls this again, its parts are
    done one after the other. Raises what a piece raises, and RunError if a process is killed.
    """
    cores = len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()
    if len(pieces) < few or cores == 1 or parent_process():
        return [function(*piece) for piece in pieces]
    # A fresh interpreter each: a fork would inherit what torch's threads hold.
    with ProcessPoolExecutor(min(cores, len(pieces)), get_context("spawn"), _begin) as pool:
        try:
            return list(pool.map(function, *zip(*pieces, strict=True)))
        except BrokenProcessPool:
            raise RunError("a process was killed before its piece was done, perhaps for want of memory") from None
        except BaseException:  # of a piece, or Ctrl-C: nobody waits for the others
            for process in active_children():
                process.terminate()
            raise


def _begin() -> None:
    """A process of the pool has one core, leaves Ctrl-C to the main one, and ends when that is killed."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    os.environ["OMP_NUM_THREADS"] = "1"
    Thread(target=_end_with_parent, daemon=True).start()


def _end_with_parent() -> None:
    parent_process().join()
    os._exit(1)
