"""One text at a time, as a service answers: seconds by executed layers."""

import pytest

from bench.measure import time_speeds


@pytest.mark.benchmark(group="latency")
def test_speeds(benchmark, engine, singles):
    time_speeds(benchmark, engine, singles, 1)
