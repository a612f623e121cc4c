"""What leaving at each layer costs in seconds on this machine: layers and exits timed in an engine's batches."""

import time
from collections.abc import Callable

import numpy as np
import torch
from torch import Tensor

from fastbert_core.model import FastBertModel
from fastbert_core.pooling import Shapes

ROUNDS = 5  # of which the best counts, so that other work on the machine is left out


def second_costs(model: FastBertModel, tokens: np.ndarray, shapes: Shapes) -> tuple[np.ndarray, np.ndarray]:
    """Seconds of leaving at each layer, [rows, layers], and of the model without exits, [rows], in full batches.

    tokens: int32 [rows]; shapes: of an engine's batches

    Embeddings and tokenisation, which every text pays, are left out. One layer stands for all.
    """
    widths = np.unique([shapes.width(n) for n in np.quantile(tokens, [0, 0.25, 0.5, 0.75, 1])])
    timed = np.array([_of_width(model, int(width), shapes.capacity(int(width))) for width in widths])  # [widths, 2]
    layer, head = (np.interp(tokens, widths, timed[:, at]) for at in (0, 1))
    depth = np.arange(1, model.layers + 1)
    return depth * (layer + head)[:, None], model.layers * layer + head


@torch.inference_mode()
def _of_width(model: FastBertModel, width: int, rows: int) -> tuple[float, float]:
    """Seconds a text of a layer and of an exit, in a batch of `rows` texts of `width` tokens."""
    generator = torch.Generator().manual_seed(0)
    size = (rows, width, model.config.backbone_config.hidden_size)
    hidden = torch.randn(size, generator=generator).to(model.device, model.dtype)
    context = model.context(hidden, None)
    return tuple(
        _best(model, step) / rows
        for step in (lambda: model.run_layer(1, hidden, context), lambda: model.classify(1, hidden, None))
    )


def _best(model: FastBertModel, step: Callable[[], Tensor]) -> float:
    spent = []
    for _ in range(1 + ROUNDS):  # the first warms up
        begun = time.perf_counter()
        step()
        if model.device.type == "cuda":
            torch.cuda.synchronize(model.device)
        spent.append(time.perf_counter() - begun)
    return min(spent[1:])
