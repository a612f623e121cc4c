"""What one would write first: a batch whose samples leave one after the other, until the rest is done."""

import numpy as np
import torch

from fastbert_core.adaptive import Predictions
from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel
from fastbert_core.uncertainty import uncertainty


@torch.inference_mode()
def compacting(model: FastBertModel, encoded: Encoded, pad_id: int, speed: float, batch: int) -> Predictions:
    """Predictions in batches of like length; after each layer the samples that stay run on in a smaller batch."""
    found = Predictions.empty(len(encoded), model.config.num_labels)
    for rows in sorted_batches(encoded.lengths, batch, token_budget=batch * int(encoded.lengths.max())):
        padded = collate(encoded, rows, pad_id, model.device)
        hidden, mask = model.embed(padded.input_ids, padded.token_type_ids), padded.mask
        for layer in range(1, model.layers + 1):
            hidden = model.run_layer(layer, hidden, model.context(hidden, mask))
            p = model.classify(layer, hidden, mask).float().softmax(dim=-1).cpu().numpy()
            u = uncertainty(p)
            stays = (u >= speed) & (layer < model.layers)
            found.put(rows[~stays], p[~stays].argmax(axis=-1), layer, u[~stays], p[~stays])
            rows, kept = rows[stays], torch.from_numpy(np.flatnonzero(stays)).to(model.device)
            if not len(rows):
                break
            hidden, mask = hidden[kept], None if mask is None else mask[kept]
    return found
