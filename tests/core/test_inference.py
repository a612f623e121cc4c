import itertools
from collections import Counter

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from transformers import BertConfig, BertTokenizerFast, RobertaConfig

from fastbert_core import adaptive
from fastbert_core.agreement import disagreements
from fastbert_core.encoding import Encoded, encode
from fastbert_core.errors import InputError, RunError
from fastbert_core.inference import Engine, Prediction
from fastbert_core.model import FastBertModel
from fastbert_core.trace import Trace
from fastbert_core.tracing import probabilities
from fastbert_core.uncertainty import exit_layers

WORDS = [f"word{number}" for number in range(100)]
SPECIAL = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]"]
CLASSES = ["sport", "music", "law"]
LAYERS, LONGEST, PAD = 4, 44, 0
SPEEDS = (0.0, 0.3, 0.5, 0.7, 1.0)


def make_model(config=BertConfig, layers=LAYERS, **more):
    """A random model whose uncertainties spread over [0, 1], so that samples leave at every layer."""
    torch.manual_seed(3)
    sizes = {
        "vocab_size": len(SPECIAL) + len(WORDS),
        "hidden_size": 16,
        "num_hidden_layers": layers,
        "num_attention_heads": 2,
        "intermediate_size": 24,
        "max_position_embeddings": LONGEST,
        "initializer_range": 0.25,
    }
    model = FastBertModel.from_config(config(**sizes | more), CLASSES)
    with torch.no_grad():
        for weights in model.classifiers.parameters():
            weights.normal_(std=0.25 if weights.ndim > 1 else 0.02)
    return model


@pytest.fixture(scope="module")
def model():
    return make_model().eval()


@pytest.fixture(scope="module")
def tokenizer():
    return BertTokenizerFast(vocab={word: index for index, word in enumerate([*SPECIAL, *WORDS])})


@pytest.fixture
def engine(model, tokenizer):
    return Engine(model, tokenizer)


def encoded_samples(lengths, seed=0, segments=False):
    """Random token ids of the given lengths."""
    rng = np.random.default_rng(seed)
    ids = rng.integers(len(SPECIAL), len(SPECIAL) + len(WORDS), sum(lengths)).astype(np.int32)
    offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
    return Encoded(ids, rng.integers(0, 2, len(ids)).astype(np.int8) if segments else None, offsets)


def varied(samples=150, seed=0, longest=LONGEST):
    return encoded_samples(np.random.default_rng(seed).integers(2, longest + 1, samples), seed)


def texts_of(samples, seed=0):
    rng = np.random.default_rng(seed)
    return [" ".join(rng.choice(WORDS, rng.integers(0, 20))) for _ in range(samples)]


def trace_of(model, encoded, batch_size=64):
    p = probabilities(model, encoded, PAD, batch_size=batch_size)
    layers = list(range(1, model.layers + 1))
    return Trace(p, np.zeros(len(p), np.int64), encoded.lengths, {"layers": layers})


def assert_agrees(trace, found, speed, max_layers=None):
    broken, excused = disagreements(trace, found.labels, found.exit_layers, speed, max_layers)
    assert broken.size == 0
    assert excused.size <= max(1, len(trace.labels) // 1000)
    at_exit = trace.uncertainties[np.arange(len(found)), found.exit_layers - 1]
    assert np.abs(found.uncertainties - at_exit).max(initial=0) < 1e-4


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


@pytest.mark.parametrize("batch_size", [1, 64, None])
@pytest.mark.parametrize("speed", SPEEDS)
def test_agrees_with_the_trace(engine, model, batch_size, speed):
    encoded = varied(20 if batch_size == 1 else 150)
    assert_agrees(trace_of(model, encoded), engine.predict(encoded, speed, batch_size=batch_size), speed)


def test_the_speeds_of_these_tests_use_every_layer(model):
    u = trace_of(model, varied()).uncertainties
    assert set(exit_layers(u, 0.3)) == set(range(1, LAYERS + 1))
    assert 1.5 < exit_layers(u, 0.5).mean() < LAYERS - 0.5


def test_equal_to_the_last_bit_one_by_one(engine, model):
    encoded = varied(15)
    trace = trace_of(model, encoded, batch_size=1)
    for speed in SPEEDS:
        found = engine.predict(encoded, speed, batch_size=1)
        assert np.array_equal(found.exit_layers, exit_layers(trace.uncertainties, speed))
        at = (np.arange(len(encoded)), found.exit_layers - 1)
        assert np.array_equal(found.uncertainties, trace.uncertainties[at])
        assert np.array_equal(found.labels, trace.predictions[at])


@pytest.mark.parametrize("max_layers", [None, 2])
def test_equal_to_the_last_bit_where_batches_and_padding_are_the_same(engine, model, max_layers):
    # Full widths alone, so that both pad alike; speed 0, so that nobody leaves and the batches stay the same.
    encoded = encoded_samples(np.random.default_rng(1).choice([8, 16, 40], 50))
    trace = trace_of(model, encoded, batch_size=16)
    found = engine.predict(encoded, 0, batch_size=16, max_layers=max_layers)
    last = max_layers or LAYERS
    assert np.array_equal(found.uncertainties, trace.uncertainties[:, last - 1])
    assert np.array_equal(found.labels, trace.predictions[:, last - 1])


def test_speed_0_runs_every_layer_and_speed_1_the_first(engine):
    encoded = varied(30)
    assert (engine.predict(encoded, 0).exit_layers == LAYERS).all()
    assert (engine.predict(encoded, 1).exit_layers == 1).all()


@pytest.mark.parametrize("max_layers", [1, 2, LAYERS])
@pytest.mark.parametrize("batch_size", [1, None])
def test_max_layers_is_the_latest_exit(engine, model, max_layers, batch_size):
    encoded = varied(40)
    found = engine.predict(encoded, 0.3, max_layers=max_layers, batch_size=batch_size)
    assert found.exit_layers.max() == max_layers
    assert_agrees(trace_of(model, encoded), found, 0.3, max_layers)


def test_a_threshold_that_is_met_exactly_is_not_below(engine):
    encoded = encoded_samples([9])
    first = engine.predict(encoded, 1.0).uncertainties[0]
    assert engine.predict(encoded, first).exit_layers[0] > 1
    assert engine.predict(encoded, np.nextafter(first, 1)).exit_layers[0] == 1


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
    engine = Engine(model, tokenizer, token_budget=token_budget)
    with pytest.MonkeyPatch.context() as patch:
        patch.setitem(adaptive.AHEAD, "cpu", queued)
        record = Recorded(model, patch)
        found = engine.predict(encoded, speed, batch_size=batch_size)
    assert_agrees(trace_of(model, encoded), found, speed)
    # Finished samples leave at once: each has executed its own layers and no more.
    executed = Counter()
    for layer, rows, _ in record.calls:
        executed[layer] += rows
    assert all(executed[layer] == (found.exit_layers >= layer).sum() for layer in range(1, LAYERS + 1))


@pytest.mark.parametrize("batch_size", [1, None])
def test_segments_reach_the_embeddings(engine, model, batch_size):
    encoded = encoded_samples([5, 9, 20, 31, 12], segments=True)
    found = engine.predict(encoded, 0.5, batch_size=batch_size)
    assert_agrees(trace_of(model, encoded), found, 0.5)
    plain = engine.predict(Encoded(encoded.ids, None, encoded.offsets), 0.5, batch_size=batch_size)
    assert not np.allclose(found.uncertainties, plain.uncertainties)


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_a_roberta_backbone(tokenizer, batch_size):
    roberta = make_model(RobertaConfig, pad_token_id=PAD, max_position_embeddings=LONGEST + 1).eval()
    encoded = varied(15)  # its positions follow from the padding token, so padding must be told from text
    for speed in (0, 0.5):
        found = Engine(roberta, tokenizer).predict(encoded, speed, batch_size=batch_size)
        assert_agrees(trace_of(roberta, encoded), found, speed)


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


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
@pytest.mark.parametrize("batch_size", [1, 16, None])
def test_agrees_with_the_trace_on_a_gpu(model, tokenizer, batch_size):
    encoded = varied(150)
    found = Engine(model, tokenizer, device="cuda").predict(encoded, 0.5, batch_size=batch_size)
    assert_agrees(trace_of(model, encoded), found, 0.5)


# --- how it is computed -----------------------------------------------------------------------------------------------


def test_every_layer_runs_as_few_batches_as_there_can_be(engine, model, monkeypatch):
    encoded = encoded_samples([16] * 200)
    record = Recorded(model, monkeypatch)
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
    record = Recorded(model, monkeypatch)
    found = Engine(model, tokenizer, token_budget=320).predict(varied(200), 0.4)
    assert (found.exit_layers > 1).sum() > 50
    assert {width for *_, width in record.calls} <= {8, 16, 24, 32, 40, LONGEST}
    full = Counter(rows == 320 // width for _, rows, width in record.calls)
    assert full[False] <= LAYERS  # at each layer the last batch alone
    assert full[True] > 3 * LAYERS


def test_padding_stays_small_in_every_layer(engine, model, monkeypatch):
    encoded, real = varied(300), Counter()
    record = Recorded(model, monkeypatch)
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
        waiting.append(len(pool))

    monkeypatch.setattr(adaptive.Pool, "add", counting)
    for samples in (100, 400):
        engine.predict(varied(samples), 0.4, batch_size=8)
    assert 8 < max(waiting) <= 8 * LAYERS


def test_a_batch_that_nobody_leaves_is_not_copied(engine, monkeypatch):
    monkeypatch.setattr(torch, "index_select", None)
    assert (engine.predict(encoded_samples([16] * 64), 0, batch_size=16).exit_layers == LAYERS).all()


# --- texts ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("batch_size", [1, 8, None])
def test_lists_and_iterators_keep_the_input_s_order(model, tokenizer, batch_size):
    texts = texts_of(40)
    engine = Engine(model, tokenizer, in_flight=16)
    found = engine.predict(encode(tokenizer, texts), 0.5, batch_size=batch_size)
    listed = engine.predict(texts, 0.5, batch_size=batch_size)
    streamed = engine.predict(iter(texts), 0.5, batch_size=batch_size)
    assert isinstance(listed, list)
    assert next(streamed)[:3] == listed[0][:3]
    assert [p[:3] for p in streamed] == [p[:3] for p in listed[1:]]
    assert [p.index for p in listed] == found.labels.tolist()
    assert [p.exit_layer for p in listed] == found.exit_layers.tolist()
    assert [p.label for p in listed] == [CLASSES[p.index] for p in listed]
    assert len({p.exit_layer for p in listed}) > 1


def test_one_text(engine):
    text = texts_of(3)[2]
    found = engine.predict(text, 0.5)
    assert isinstance(found, Prediction)
    assert found == engine.predict([text], 0.5)[0]
    assert found.label == CLASSES[found.index]
    assert not found.truncated


def test_pairs(engine, tokenizer, model):
    texts, pairs = texts_of(20, 1), texts_of(20, 2)
    encoded = encode(tokenizer, texts, pairs, engine.max_tokens)
    assert encoded.segments.any()
    found = engine.predict(texts, 0.5, pairs=pairs)
    assert_agrees(trace_of(model, encoded), engine.predict(encoded, 0.5), 0.5)
    assert [p.exit_layer for p in found] == engine.predict(encoded, 0.5).exit_layers.tolist()
    assert engine.predict(texts[0], 0.5, pairs=pairs[0])[:3] == found[0][:3]
    assert [p[:3] for p in engine.predict(iter(texts), 0.5, pairs=iter(pairs))] == [p[:3] for p in found]


@pytest.mark.parametrize("batch_size", [1, 4, None])
def test_an_iterator_is_read_no_further_ahead_than_stated(model, tokenizer, batch_size):
    read = 0

    def reading():
        nonlocal read
        for text in itertools.cycle(texts_of(5)):  # without an end
            read += 1
            yield text

    ahead = 1 if batch_size == 1 else 16
    stream = Engine(model, tokenizer, in_flight=16).predict(reading(), 0.5, batch_size=batch_size)
    for delivered in range(50):
        next(stream)
        assert delivered < read <= delivered + ahead


def test_what_an_iterator_gave_before_it_raised_is_delivered(model, tokenizer):
    def failing():
        yield from texts_of(21)
        raise OSError("the line is dead")

    expected = Engine(model, tokenizer).predict(texts_of(21), 0.5)
    for batch_size in (1, None):
        stream = Engine(model, tokenizer, in_flight=8).predict(failing(), 0.5, batch_size=batch_size)
        found = list(itertools.islice(stream, 21))
        assert [p[:3] for p in found] == [p[:3] for p in expected]
        with pytest.raises(OSError, match="the line is dead"):
            next(stream)


def test_empty_text_is_cls_and_sep(engine):
    found = engine.predict(["", "song"], 0.5)[0]
    ids = np.array([SPECIAL.index("[CLS]"), SPECIAL.index("[SEP]")], np.int32)
    alone = engine.predict(Encoded(ids, None, np.array([0, 2])), 0.5)
    assert (found.index, found.exit_layer) == (alone.labels[0], alone.exit_layers[0])


def test_nothing_in_nothing_out(engine):
    assert engine.predict([], 0.5) == []
    assert list(engine.predict(iter([]), 0.5)) == []
    assert len(engine.predict(encoded_samples([]), 0.5)) == 0
    assert len(engine.predict(encoded_samples([]), 0.5, batch_size=1)) == 0


def test_long_texts_are_cut_and_say_so(model, tokenizer, caplog):
    engine = Engine(model, tokenizer, max_tokens=10)
    fitting, long = " ".join(WORDS[:8]), " ".join(WORDS * 50)
    with caplog.at_level("INFO", logger="fastbert_core.inference"):
        found = engine.predict([fitting, long, ""], 0.5)
    assert [p.truncated for p in found] == [False, True, False]
    assert found[0][:3] == found[1][:3]  # the first ten tokens are the same
    assert "1 of 3 texts were cut to 10 tokens" in caplog.text


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speed": 1.5}, r"speed: found 1.5, expected a number in \[0, 1\]"),
        ({"speed": float("nan")}, "speed: found nan"),
        ({"speed": "fast"}, "speed: found 'fast'"),
        ({"batch_size": 0}, "batch_size: found 0, expected a positive integer"),
        ({"batch_size": 2.5}, "batch_size: found 2.5"),
        ({"batch_size": True}, "batch_size: found True"),
        ({"max_layers": 0}, "max_layers: found 0, expected an integer from 1 to 4"),
        ({"max_layers": 5}, "max_layers: found 5"),
        ({"texts": ["a", 3]}, "texts: found int at sample 2, expected a text"),
        ({"texts": ["a", None]}, "texts: found NoneType at sample 2"),
        ({"pairs": ["a", "b"]}, "texts: found 1, expected as many texts as pairs"),
        ({"pairs": []}, "pairs: found 0, expected as many texts as pairs"),
        ({"pairs": [None]}, "pairs: found NoneType at sample 1"),
        ({"texts": encoded_samples([LONGEST + 1])}, "found samples of 45 to 45 tokens, expected 1 to 44"),
    ],
)
def test_bad_arguments(engine, arguments, message):
    with pytest.raises(InputError, match=message):
        engine.predict(**{"texts": ["a"], "speed": 0.5} | arguments)


def test_bad_arguments_are_refused_before_an_iterator_is_read(engine):
    with pytest.raises(InputError, match="speed"):
        engine.predict(iter(["a"]), 2)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"max_tokens": LONGEST + 1}, "max_tokens: found 45, expected an integer from 1 to 44"),
        ({"in_flight": 0}, "in_flight: found 0"),
        ({"token_budget": -1}, "token_budget: found -1"),
        ({"precision": "int8"}, "precision: found 'int8'"),
        ({"device": "tpu"}, "device: found 'tpu'"),
    ],
)
def test_bad_options(model, tokenizer, options, message):
    with pytest.raises(InputError, match=message):
        Engine(model, tokenizer, **options)


@pytest.mark.skipif(torch.cuda.is_available(), reason="needs a machine without a GPU")
def test_a_device_that_is_not_there(model, tokenizer):
    with pytest.raises(InputError, match="found no CUDA device"):
        Engine(model, tokenizer, device="cuda")


OUT_OF_MEMORY = [MemoryError(), torch.OutOfMemoryError("CUDA out of memory"), "allocate"]


def limited(model, monkeypatch, rows, error):
    """Let layers of more than `rows` rows run out of memory; returns the row counts that were tried."""
    run_layer, tried = model.run_layer, []

    def running_out(layer, hidden, mask):
        tried.append(len(hidden))
        if len(hidden) > rows:
            if error == "allocate":
                torch.empty(1 << 50, dtype=torch.float64)  # PyTorch's own message
            raise error
        return run_layer(layer, hidden, mask)

    monkeypatch.setattr(model, "run_layer", running_out)
    return tried


@pytest.mark.parametrize("error", OUT_OF_MEMORY, ids=["host", "cuda", "allocator"])
@pytest.mark.parametrize("batch_size", [16, None])
def test_out_of_memory_tries_smaller_batches_once(model, tokenizer, monkeypatch, error, batch_size):
    encoded = encoded_samples([16] * 40)
    engine = Engine(model, tokenizer, token_budget=256)
    expected = engine.predict(encoded, 0.5, batch_size=batch_size)
    tried = limited(model, monkeypatch, 4, error)
    with pytest.warns(UserWarning, match="memory ran out; going on with batches 4 times smaller"):
        found = engine.predict(encoded, 0.5, batch_size=batch_size)
    assert np.array_equal(found.exit_layers, expected.exit_layers)
    assert np.array_equal(found.labels, expected.labels)
    assert tried.count(16) == 1
    engine.predict(encoded, 0.5, batch_size=batch_size)
    assert tried.count(16) == 1  # what has not fitted once is not tried again


def test_out_of_memory_for_small_batches_too_is_a_clear_error(engine, model, monkeypatch):
    limited(model, monkeypatch, 0, MemoryError())
    with pytest.warns(UserWarning, match="memory ran out"), pytest.raises(RunError, match="memory ran out, even for"):
        engine.predict(varied(20), 0.5)
    with pytest.raises(RunError, match="memory ran out"):
        engine.predict(varied(20), 0.5, batch_size=1)


def test_other_errors_pass(engine, model, monkeypatch):
    limited(model, monkeypatch, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        engine.predict(varied(20), 0.5)
