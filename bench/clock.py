"""A stopwatch on the parts of a model; and works that are timed in short turns, so that a drift of pace meets them all.

A GPU is waited for before and after each part.
"""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from greenlet import getcurrent, greenlet

from fastbert_core.model import FastBertModel

TURN = 0.5  # seconds, and then until the layer under way has ended


@contextmanager
def watched(
    model: FastBertModel, parts: tuple[str, ...], told: Callable[[str, int | None, float], None]
) -> Iterator[None]:
    """Tell of each call of the methods `parts` inside the block: the part, its layer if it has one, its seconds."""

    def watching(part: str, function: Callable) -> Callable:
        def call(*arguments: object) -> object:
            _wait(model)
            start = time.perf_counter()
            result = function(*arguments)
            _wait(model)
            layer = arguments[0] if isinstance(arguments[0], int) else None
            told(part, layer, time.perf_counter() - start)
            return result

        return call

    for part in parts:
        setattr(model, part, watching(part, getattr(model, part)))
    try:
        yield
    finally:
        for part in parts:
            delattr(model, part)


def _wait(model: FastBertModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()


@contextmanager
def clocked(model: FastBertModel, *parts: str) -> Iterator[dict[tuple[str, int | None], float]]:
    """Seconds that the methods `parts` of `model` take inside the block, by part and layer (None where it has none)."""
    spent = defaultdict(float)

    def told(part: str, layer: int | None, seconds: float) -> None:
        spent[part, layer] += seconds

    with watched(model, parts, told):
        yield spent


@dataclass
class Work:
    """Something to do; once it is done, its answer and the seconds it took, and how many of them the embedding took.

    share: its turns last so many times TURN. With shares as the works' own seconds they all end at about one time.
    """

    do: Callable[[], object]
    share: float = 1.0
    answer: object = None
    seconds: float = 0.0
    embedding_seconds: float = 0.0


def in_turns(model: FastBertModel, works: list[Work]) -> None:
    """Do all `works`, which run `model`, and time them.

    A turn ends with a call of the model's `embed` or `run_layer`. All run in one thread, since PyTorch gives every
    thread helpers of its own, which would be in each other's way.
    """
    umpire = getcurrent()

    def run(work: Work) -> None:
        work.answer = work.do()

    def told(part: str, layer: int | None, seconds: float) -> None:
        if part == "embed":
            running.embedding_seconds += seconds
        if time.perf_counter() - began >= TURN * running.share:
            umpire.switch()

    waiting = [(work, greenlet(run)) for work in works]
    # Inference mode around all: a work that leaves it must not switch it off for another.
    with watched(model, ("embed", "run_layer"), told), torch.inference_mode():
        while waiting:
            for running, thread in waiting:
                began = time.perf_counter()
                thread.switch(running)
                running.seconds += time.perf_counter() - began
            waiting = [(work, thread) for work, thread in waiting if not thread.dead]
