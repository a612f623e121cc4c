"""Many texts, pooled: seconds by executed layers and batch size, and agreement with the trace on all test texts."""

import numpy as np
import pytest

from bench.measure import about, agreement, dense, time_speeds

BATCHES = (32, 256)
BATCH_OF_ALL = 64


@pytest.mark.benchmark(group="throughput")
@pytest.mark.parametrize("batch", BATCHES)
def test_speeds(benchmark, engine, subject, batch):
    time_speeds(benchmark, engine, subject, batch)


@pytest.mark.benchmark(group="throughput")
@pytest.mark.parametrize("engine", [("cpu", "int8")], indirect=True, ids="-".join)
def test_speeds_in_int8(benchmark, engine, singles):
    """On few texts: how many labels it keeps, and what a machine gains that multiplies no 16 bits in hardware."""
    time_speeds(benchmark, engine, singles, BATCHES[0])


def test_dense_and_speed_0_say_the_same(engine, singles):
    found = engine.predict(singles.encoded, 0, batch_size=32)
    assert np.array_equal(dense(engine, singles.encoded, 32), found.labels)


@pytest.mark.benchmark(group="agreement")
def test_agreement_on_all_test_texts(benchmark, engine, whole):
    """At an eighth of the layers, what every answer must keep to."""
    speed = whole.speed(8)
    found = benchmark.pedantic(engine.predict, (whole.encoded, speed), {"batch_size": BATCH_OF_ALL}, rounds=1)
    benchmark.extra_info.update(about(engine, whole, BATCH_OF_ALL) | agreement(engine, whole, speed, found))
