"""A pass through all layers, and what is read off its trace."""

import copy

import numpy as np
import pytest

from bench.measure import rate
from fastbert_core.metrics import curve
from fastbert_core.trace import Trace
from fastbert_core.tracing import probabilities

SAMPLES, CURVE_SPEEDS = 10_000, 101


@pytest.mark.benchmark(group="traces")
def test_all_layers(benchmark, engine, subject):
    """Samples a second of the pass that makes a trace; bf16 by autocast, as training runs it."""
    model = copy.deepcopy(subject.model).to(engine.model.device)
    arguments = (model, subject.encoded, subject.tokenizer.pad_token_id)
    p = benchmark.pedantic(probabilities, arguments, {"precision": engine.precision}, rounds=1)
    assert p.shape == subject.trace.probabilities.shape
    benchmark.extra_info.update(rate(subject, "tracing", subject.encoded, engine))


@pytest.mark.benchmark(group="traces")
def test_curve(benchmark, subject):
    """The whole speed-accuracy curve of 10,000 samples, 101 speeds, from their probabilities."""
    layers, classes = subject.trace.probabilities.shape[1:]
    rng = np.random.default_rng(7)
    p = rng.dirichlet(np.full(classes, 0.3), (SAMPLES, layers)).astype(np.float32)
    labels, tokens = rng.integers(classes, size=SAMPLES), np.full(SAMPLES, 64, np.int32)

    def whole_curve() -> object:
        return curve(Trace(p, labels, tokens, subject.trace.metadata), np.linspace(0, 1, CURVE_SPEEDS))

    assert len(benchmark(whole_curve)) == CURVE_SPEEDS
