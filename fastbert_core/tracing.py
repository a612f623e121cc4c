"""One pass of a trained model through all its layers over a split, kept as a trace."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel
from fastbert_core.precision import autocast
from fastbert_core.uncertainty import check_finite

# Padded tokens in one batch: enough to keep the matrix products busy, little enough to stay in cache.
TOKEN_BUDGET = 4096


@contextlib.contextmanager
def evaluating(model: torch.nn.Module) -> Iterator[None]:
    """Dropout and gradients off inside the block; each module's own mode is back after it."""
    modes = [(module, module.training) for module in model.modules()]
    model.eval()
    try:
        with torch.inference_mode():
            yield
    finally:
        for module, mode in modes:
            module.training = mode


def probabilities(
    model: FastBertModel,
    encoded: Encoded,
    pad_id: int,
    classified: tuple[int, ...] | None = None,
    precision: str = "fp32",
    batch_size: int = 64,
    progress: str | None = None,
) -> np.ndarray:
    """What exits say, float32 [units, len(classified), classes]: class probabilities, in the order of `encoded`.

    `classified` names the layers (from 1) whose classifiers are asked; None asks all. `progress` is the
    label of the progress bar, None shows none. Raises RunError, naming the layer, if any are not finite.
    """
    classified = classified or tuple(range(1, model.layers + 1))
    output = np.empty((encoded.unit_count, len(classified), model.config.num_labels), np.float32)
    device = model.device
    bar = tqdm(total=len(encoded), desc=progress, unit="sample", disable=None if progress else True)
    with evaluating(model), autocast(device, precision), bar:
        for rows in sorted_batches(encoded.lengths, batch_size, TOKEN_BUDGET):
            batch = collate(encoded, rows, pad_id, device)
            logits = model.exit_logits(
                batch.input_ids, batch.mask, batch.token_type_ids, classified
            )  # [b, layers, classes]
            output[encoded.units(rows)] = p = model.kind.activate(batch.of_units(logits)).cpu().numpy()
            for at, layer in enumerate(classified):
                check_finite(p[:, at], layer)
            bar.update(len(rows))
    return output
