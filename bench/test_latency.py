"""One text at a time, as a service answers: seconds by executed layers."""

import pytest

from bench.measure import REDUCTIONS, time_dense, time_engine


@pytest.mark.benchmark(group="latency")
@pytest.mark.parametrize("reduction", REDUCTIONS)
def test_fastbert(benchmark, engine, singles, reduction, rounds):
    time_engine(benchmark, engine, singles, reduction, 1, rounds)


@pytest.mark.benchmark(group="latency")
def test_dense(benchmark, engine, singles, rounds):
    time_dense(benchmark, engine, singles, 1, rounds)
