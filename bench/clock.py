"""A stopwatch on the parts of a model."""

import time
from collections import defaultdict
from collections.abc import Callable, Iterator
from contextlib import contextmanager

import torch

from fastbert_core.model import FastBertModel

Spent = dict[tuple[str, int | None], float]


@contextmanager
def clocked(model: FastBertModel, *parts: str) -> Iterator[Spent]:
    """Seconds that the methods `parts` of `model` take inside the block, by part and layer (None where it has none).

    A GPU is waited for before and after each call.
    """
    spent: Spent = defaultdict(float)

    def clocking(part: str, function: Callable) -> Callable:
        def clocked(*arguments: object) -> object:
            _wait(model)
            start = time.perf_counter()
            result = function(*arguments)
            _wait(model)
            layer = arguments[0] if isinstance(arguments[0], int) else None
            spent[part, layer] += time.perf_counter() - start
            return result

        return clocked

    for part in parts:
        setattr(model, part, clocking(part, getattr(model, part)))
    try:
        yield spent
    finally:
        for part in parts:
            delattr(model, part)


def _wait(model: FastBertModel) -> None:
    if model.device.type == "cuda":
        torch.cuda.synchronize()
