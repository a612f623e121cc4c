from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbert_core import adaptive
from fastbert_core.encoding import Encoded
from fastbert_core.engine import TOKEN_BUDGET, Engine
from fastbert_core.errors import RunError
from fastbert_core.exit_rules import exit_layers
from tests.core.small import LAYERS, LONGEST, assert_agrees, encoded_samples, make_model, trace_of, varied

SPEEDS = (0.0, 0.3, 0.5, 0.7, 1.0)


class Recorded:
    """The batches that a model's layers run: (layer, rows, tokens)."""

    def __init__(self, model, monkeypatch):
        self.calls = []
        run_layer = model.run_layer

        def recording(layer, hidden, mask):
            self.calls.append((layer, *hidden.shape[:2]))
            return run_layer(layer, hidden, mask)

        monkeypatch.setattr(model, "run_layer", recording)

    def rows(self, layer):
        return [rows for at, rows, _ in self.calls if at == layer]


# --- what is computed -------------------------------------------------------------------------------------------------


def test_equal_to_the_last_bit_one_by_one(engine):
    encoded = varied(15)
    trace = trace_of(engine.model, encoded, batch_size=1)
    for speed in SPEEDS:
        found = engine.predict(encoded, speed, batch_size=1)
        assert np.array_equal(found.exit_layers, exit_layers(trace.uncertainties, speed))
        at = (np.arange(len(encoded)), found.exit_layers - 1)
        assert np.array_equal(found.uncertainties, trace.uncertainties[at])
        assert np.array_equal(found.labels, trace.predictions[at])


def test_equal_to_the_last_bit_where_batches_and_padding_are_the_same(engine):
    # Each batch of 16 has one width and a text as long as that, so that both pad alike and nothing is cut; speed 0, so
    # that nobody leaves and the batches stay the same.
    rng = np.random.default_rng(1)
    lengths = [length for width in (8, 16, 40) for length in (width, *rng.integers(width - 7, width + 1, 15))]
    encoded = encoded_samples(rng.permutation(lengths))
    trace = trace_of(engine.model, encoded, batch_size=16)
    found = engine.predict(encoded, 0, batch_size=16)
    assert np.array_equal(found.uncertainties, trace.uncertainties[:, -1])
    assert np.array_equal(found.labels, trace.predictions[:, -1])


@pytest.mark.parametrize("max_layers", [1, 2, LAYERS])
@pytest.mark.parametrize("batch_size", [1, None])
def test_max_layers_is_the_latest_exit(engine, model, max_layers, batch_size):
    encoded = varied(40)
    found = engine.predict(encoded, 0.3, max_layers=max_layers, batch_size=batch_size)
    assert found.exit_layers.max() == max_layers
    assert_agrees(trace_of(model, encoded), found, 0.3, max_layers)


@pytest.mark.parametrize("samples", [1, 2])  # alone and pooled
def test_a_threshold_that_is_met_exactly_is_not_below(engine, samples):
    one = encoded_samples([9])
    encoded = Encoded(np.tile(one.ids, samples), None, 9 * np.arange(samples + 1))
    first = engine.predict(encoded, 1.0).uncertainties[0]
    assert (engine.predict(encoded, first).exit_layers > 1).all()
    assert (engine.predict(encoded, np.nextafter(first, 1)).exit_layers == 1).all()


@settings(max_examples=25, deadline=None)
@given(
    lengths=st.lists(st.integers(1, LONGEST), min_size=0, max_size=40),
    speed=st.floats(0, 1),
    batch_size=st.one_of(st.none(), st.integers(1, 20)),
    token_budget=st.integers(1, 300),
    queued=st.integers(0, 2),
)
def test_whatever_the_batches_the_answer_is_the_trace_s(
    model, tokenizer, lengths, speed, batch_size, token_budget, queued
):
    encoded = encoded_samples(lengths, seed=len(lengths))
    engine = Engine(model, tokenizer)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(TOKEN_BUDGET, "cpu", token_budget)
        patch.setitem(adaptive.AHEAD, "cpu", queued)
        record = Recorded(engine.model, patch)
        found = engine.predict(encoded, speed, batch_size=batch_size)
    assert_agrees(trace_of(model, encoded), found, speed)
    # Finished samples leave at once: each has executed its own layers and no more.
    executed = Counter()
    for layer, rows, _ in record.calls:
        executed[layer] += rows
    assert all(executed[layer] == (found.exit_layers >= layer).sum() for layer in range(1, LAYERS + 1))


def test_eager_attention(tokenizer):
    eager = make_model().eval()
    eager.set_attn_implementation("eager")
    encoded = varied(40)
    assert_agrees(trace_of(eager, encoded), Engine(eager, tokenizer).predict(encoded, 0.5), 0.5)


def test_bf16_leaves_the_caller_s_model_alone(model, tokenizer):
    encoded = varied(12)
    exact = Engine(model, tokenizer).predict(encoded, 0)
    for batch_size in (1, None):
        half = Engine(model, tokenizer, precision="bf16").predict(encoded, 0, batch_size=batch_size)
        assert np.abs(half.uncertainties - exact.uncertainties).max() < 0.1
        assert (half.uncertainties != exact.uncertainties).any()
    assert model.dtype == torch.float32


def test_a_model_in_training_mode_is_put_into_evaluation_mode(tokenizer, engine):
    training = make_model().train()
    encoded = varied(10)
    found = Engine(training, tokenizer).predict(encoded, 0.5)
    assert np.array_equal(found.uncertainties, engine.predict(encoded, 0.5).uncertainties)


def broken_runs(model, tokenizer, speed):
    """What predicts with a model: one by one, pooled, and for a trace; of three samples, the last with token 9."""
    encoded = Encoded(np.array([2, 8, 3, 2, 7, 3, 2, 9, 3], np.int32), None, np.array([0, 3, 6, 9]))
    engine = Engine(model, tokenizer)
    return [
        lambda: engine.predict(encoded, speed, batch_size=1),
        lambda: engine.predict(encoded, speed),
        lambda: trace_of(model, encoded),
    ]


@pytest.mark.parametrize("speed", [0, 1])
def test_a_backbone_that_is_not_finite_ends_the_run(tokenizer, speed):
    model = make_model().eval()
    with torch.no_grad():
        model.backbone.embeddings.word_embeddings.weight[9] = torch.nan
    for run, samples in zip(broken_runs(model, tokenizer, speed), (1, 3, 3), strict=True):
        with pytest.raises(RunError, match=rf"^layer 1: the probabilities of 1 of {samples} samples are not finite$"):
            run()


def test_a_classifier_that_is_not_finite_ends_the_run(tokenizer):
    model = make_model().eval()
    with torch.no_grad():
        next(model.classifiers[2].parameters()).fill_(torch.nan)
    for run in broken_runs(model, tokenizer, speed=0):
        with pytest.raises(RunError, match=r"^layer 3: the probabilities of ([13]) of \1 samples are not finite$"):
            run()


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_agrees_with_the_trace_on_a_gpu(model, tokenizer):
    encoded = varied(150)
    found = Engine(model, tokenizer, device="cuda").predict(encoded, 0.5)
    assert_agrees(trace_of(model, encoded), found, 0.5)


# --- how it is computed -----------------------------------------------------------------------------------------------


def test_every_layer_runs_as_few_batches_as_there_can_be(engine, monkeypatch):
    encoded = encoded_samples([16] * 200)
    record = Recorded(engine.model, monkeypatch)
    found = engine.predict(encoded, 0.25, batch_size=16)
    executing = [(found.exit_layers >= layer).sum() for layer in range(1, LAYERS + 1)]
    assert executing[0] == 200 > executing[-1] > 16
    for layer, samples in enumerate(executing, start=1):
        full, rest = divmod(int(samples), 16)
        assert record.rows(layer) == [16] * full + [rest] * (rest > 0)
    # Without pooling, every batch of the first layer goes on as long as one of its samples stays.
    order = np.argsort(-encoded.lengths, kind="stable")
    alone = sum(found.exit_layers[order[at : at + 16]].max() for at in range(0, 200, 16))
    assert len(record.calls) < 0.8 * alone


def test_batches_are_filled_to_the_token_budget_in_few_widths(model, tokenizer, monkeypatch):
    monkeypatch.setitem(TOKEN_BUDGET, "cpu", 320)
    engine = Engine(model, tokenizer)
    record = Recorded(engine.model, monkeypatch)
    found = engine.predict(varied(200), 0.4)
    assert (found.exit_layers > 1).sum() > 50
    assert {width for *_, width in record.calls} <= {8, 16, 24, 32, 40, LONGEST}
    full = Counter(rows == 320 // width for _, rows, width in record.calls)
    assert full[False] <= 2 * LAYERS  # at each layer the last batch alone, which may be cut in two
    assert full[True] > 3 * LAYERS


def test_padding_stays_small_in_every_layer(engine, monkeypatch):
    encoded, real = varied(300), Counter()
    record = Recorded(engine.model, monkeypatch)
    found = engine.predict(encoded, 0.4, batch_size=8)
    padded = Counter()
    for layer, rows, width in record.calls:
        padded[layer] += rows * width
    for layer in range(1, LAYERS + 1):
        real[layer] = encoded.lengths[found.exit_layers >= layer].sum()
        assert padded[layer] < 1.35 * real[layer]


def test_what_waits_is_bounded_whatever_the_number_of_samples(engine, monkeypatch):
    waiting, add = [], adaptive.Pool.add

    def counting(pool, group, stays):
        add(pool, group, stays)
        waiting.append(sum(map(len, pool._full)) + sum(buffer.filled for buffer in pool._filling.values()))

    monkeypatch.setattr(adaptive.Pool, "add", counting)
    for samples in (100, 400):
        engine.predict(varied(samples), 0.4, batch_size=8)
    assert 8 < max(waiting) <= 8 * LAYERS


def test_a_batch_that_nobody_leaves_is_not_copied(engine, monkeypatch):
    monkeypatch.setattr(torch, "index_select", None)
    assert (engine.predict(encoded_samples([16] * 64), 0, batch_size=16).exit_layers == LAYERS).all()
