"""Pieces of work that know nothing of each other, on all cores."""

from collections.abc import Callable, Sequence
from typing import TypeVar

from joblib import Parallel, delayed

T = TypeVar("T")
FEW = 6  # pieces, fewer of which are done before other processes have started


def each(function: Callable[..., T], pieces: Sequence[tuple]) -> list[T]:
    """What `function(*piece)` returns for every piece, in their order, by a process a core where they are many."""
    return Parallel(n_jobs=1 if len(pieces) < FEW else -1)(delayed(function)(*piece) for piece in pieces)
