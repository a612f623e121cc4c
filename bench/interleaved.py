"""Several works timed in turns, so short that a drift of the machine's pace meets them all alike."""

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
from greenlet import getcurrent, greenlet

from fastbert_core.model import FastBertModel

TURN = 0.5  # seconds, and then until the layer under way has ended


@dataclass
class Work:
    """What is to be done, and after that what it answered, and its seconds, of which some for the embedding.

    share: its turns last so many times TURN. With shares as the works' own seconds they all end at about one time.
    """

    do: Callable[[], object]
    share: float = 1.0
    answer: object = None
    seconds: float = 0.0
    embedding_seconds: float = 0.0


def in_turns(model: FastBertModel, works: list[Work]) -> None:
    """Do all `works`, which run `model`, and time them.

    A turn ends with a call of the model's `embed` or `run_layer`; a GPU is waited for after each of these. All run in
    one thread, since PyTorch gives every thread helpers of its own, which would be in each other's way.
    """
    clock = _Clock(model, getcurrent())

    def run(work: Work) -> None:
        work.answer = work.do()

    waiting = {id(work): (work, greenlet(run)) for work in works}
    with clock, torch.inference_mode():  # around all: a work that leaves the mode must not switch it off for another
        while waiting:
            for key, (work, running) in list(waiting.items()):
                clock.begin(work)
                running.switch(work)
                work.seconds += clock.seconds()
                if running.dead:
                    del waiting[key]


class _Clock:
    """Ends the turn of the work that runs, in a call of the model, when it has lasted long enough."""

    def __init__(self, model: FastBertModel, umpire: greenlet) -> None:
        self.model, self.umpire = model, umpire

    def begin(self, work: Work) -> None:
        self.work, self.began = work, time.perf_counter()

    def seconds(self) -> float:
        return time.perf_counter() - self.began

    def __enter__(self) -> None:
        self.model.embed = self._watched(self.model.embed, is_embedding=True)
        self.model.run_layer = self._watched(self.model.run_layer, is_embedding=False)

    def __exit__(self, *_: object) -> None:
        del self.model.embed, self.model.run_layer

    def _watched(self, function: Callable, is_embedding: bool) -> Callable:
        def watched(*arguments: object) -> object:
            start = time.perf_counter()
            result = function(*arguments)
            if self.model.device.type == "cuda":
                torch.cuda.synchronize()
            if is_embedding:
                self.work.embedding_seconds += time.perf_counter() - start
            if self.seconds() >= TURN * self.work.share:
                self.umpire.switch()
            return result

        return watched
