"""Where the seconds go at speed 0 and at an eighth of the layers: the pooled engine, and what one would write first."""

import time

import pytest

from bench.clock import clocked
from bench.measure import about, agreement
from bench.naive import compacting
from fastbert_core.encoding import Encoded

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
