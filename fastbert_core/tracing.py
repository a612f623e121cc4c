"""One pass of a trained model through all its layers over a split, kept as a trace."""

import contextlib
from collections.abc import Iterator

import numpy as np
import torch
from tqdm import tqdm

from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel
from fastbert_core.precision import autocast
from fastbert_core.processes import ALONE, Alone
from fastbert_core.uncertainty import check_finite


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


def scaled_probabilities(
    model: FastBertModel,
    encoded: Encoded,
    pad_id: int,
    classified: tuple[int, ...] | None = None,
    precision: str = "fp32",
    batch_size: int = 64,
    progress: str | None = None,
    processes: Alone = ALONE,
) -> tuple[np.ndarray, np.ndarray]:
    """What exits say, and the scale of the logits that probabilities have lost, in the order of `encoded`.

    Returns probabilities float32 [units, len(classified), classes] and logsumexp float32 [units, len(classified)]; a
    unit is a sample, or a word where each has a label of its own.
    `classified` names the layers (from 1) whose classifiers are asked; None asks all. `progress` is the
    label of the progress bar, None shows none. Several processes share the batches, and each gets all rows.
    Raises RunError, naming the layer, if any are not finite.
    """
    classified = classified or tuple(range(1, model.layers + 1))
    output = np.zeros((encoded.unit_count, len(classified), model.config.num_labels), np.float32)
    scale = np.zeros(output.shape[:2], np.float32)
    device = model.device
    quiet = None if progress and processes.main else True
    bar = tqdm(total=len(encoded), desc=progress, unit="sample", disable=quiet)
    with evaluating(model), autocast(device, precision), bar:
        for rows in processes.share(sorted_batches(encoded.lengths, batch_size)):
            batch = collate(encoded, rows, pad_id, device)
            logits = model.exit_logits(batch.input_ids, batch.mask, batch.token_type_ids, classified)
            logits, units = batch.of_units(logits).float(), encoded.units(rows)  # [units, layers, classes]
            output[units] = p = model.kind.activate(logits).cpu().numpy()
            scale[units] = logits.logsumexp(dim=-1).cpu().numpy()
            for at, layer in enumerate(classified):
                check_finite(p[:, at], layer)
            bar.update(len(rows))
    return processes.whole(output), processes.whole(scale)


def probabilities(*arguments: object, **options: object) -> np.ndarray:
    """The first of what `scaled_probabilities` returns, which says what it takes."""
    return scaled_probabilities(*arguments, **options)[0]
