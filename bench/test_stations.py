"""Where the seconds go at speed 0 and at an eighth of the layers: the pooled engine, and what one would write first."""

import time

import numpy as np
import pytest
import torch

from bench.clock import clocked
from bench.measure import about, agreement
from fastbert_core.adaptive import Predictions
from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel
from fastbert_core.uncertainty import uncertainty

BATCH = 32
STATIONS = {"embed": "embedding", "context": "mask", "run_layer": "layer", "classify": "classifier"}


@pytest.mark.benchmark(group="stations")
@pytest.mark.parametrize("reduction", [1, 8])
@pytest.mark.parametrize("way", ["compacting", "pooled"])
def test_stations(benchmark, engine, subject, singles, way, reduction):
    speed = subject.speed(reduction)

    def work(encoded: Encoded):
        if way == "pooled":
            return engine.predict(encoded, speed, batch_size=BATCH)
        return compacting(engine.model, encoded, engine.tokenizer.pad_token_id, speed, BATCH)

    work(singles.encoded)  # warms up
    with clocked(engine.model, *STATIONS) as spent:
        start = time.perf_counter()
        found = benchmark.pedantic(work, (subject.encoded,), rounds=1)
        seconds = time.perf_counter() - start
    agreement(engine, subject, speed, found)
    stations = [[STATIONS[part], layer, spent[part, layer]] for part, layer in spent]
    stations.append(["regrouping and the rest", None, seconds - sum(spent.values())])
    benchmark.extra_info.update(about(engine, subject, BATCH) | {"way": way, "speed": speed, "stations": stations})


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
