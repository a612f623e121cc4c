import copy
import itertools
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pandas as pd
import pytest
import torch
from transformers import BertTokenizerFast

from fastbert_core.encoding import Encoded, encode
from fastbert_core.engine import TOKEN_BUDGET, Engine, Prediction
from fastbert_core.errors import InputError, RunError
from tests.core.small import (
    CLASSES,
    LONGEST,
    SPECIAL,
    WORDS,
    assert_agrees,
    encoded_samples,
    make_model,
    texts_of,
    trace_of,
    varied,
)

# --- texts in, predictions out ---


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
    of_pairs = engine.predict(encoded, 0.5)
    assert_agrees(trace_of(model, encoded), of_pairs, 0.5)
    assert [p.exit_layer for p in found] == of_pairs.exit_layers.tolist()
    without_segments = engine.predict(Encoded(encoded.ids, None, encoded.offsets), 0.5)
    assert not np.allclose(of_pairs.uncertainties, without_segments.uncertainties)
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


def test_nothing_in_nothing_out(engine):
    assert engine.predict([], 0.5) == []
    assert list(engine.predict(iter([]), 0.5)) == []
    assert len(engine.predict(encoded_samples([]), 0.5)) == 0
    assert len(engine.predict(encoded_samples([]), 0.5, batch_size=1)) == 0


def test_long_texts_are_cut_and_say_so(model, tokenizer, caplog):
    engine = Engine(model, tokenizer, max_tokens=10)
    fitting, long = " ".join(WORDS[:8]), " ".join(WORDS * 50)
    with caplog.at_level("INFO", logger="fastbert_core.engine"):
        found = engine.predict([fitting, long, "song"], 0.5)
    assert [p.truncated for p in found] == [False, True, False]
    assert found[0][:3] == found[1][:3]  # the first ten tokens are the same
    assert "1 of 3 texts were cut to 10 tokens" in caplog.text


def test_threads_and_engines_share_a_tokenizer(model, tokenizer):
    """Whatever is done with the tokenizer meanwhile, its padding and truncation are not an engine's."""
    texts = [" ".join(WORDS[:15])] * 8
    engines = [Engine(model, tokenizer, max_tokens=tokens) for tokens in (10, 44)]
    expected = [engine.predict(texts, 0.5) for engine in engines]
    assert [predictions[0].truncated for predictions in expected] == [True, False]

    def work(turn):
        if turn % 4 == 3:
            tokenizer(texts, padding="max_length", truncation=True, max_length=30)
            return True
        which = turn % 2
        return engines[which].predict(texts, 0.5) == expected[which]

    with ThreadPoolExecutor(8) as pool:
        assert all(pool.map(work, range(100)))


def test_a_model_knows_whether_it_takes_pairs(tokenizer):
    single, pair, unknown = make_model(), make_model(), make_model()
    single.config.pair, pair.config.pair = False, True
    for model, pairs in ((single, None), (pair, ["word2"]), (unknown, None), (unknown, ["word2"])):
        assert len(Engine(model, tokenizer).predict(["word1"], 0.5, pairs=pairs)) == 1
    for texts, pairs in (("word1", "word2"), (["word1"], ["word2"]), (iter(["word1"]), iter(["word2"]))):
        with pytest.raises(InputError, match=r"pairs: found \w+, expected none, as in the model's training"):
            Engine(single, tokenizer).predict(texts, 0.5, pairs=pairs)
        with pytest.raises(InputError, match="pairs: found none, expected a second text for each"):
            Engine(pair, tokenizer).predict(texts, 0.5)
    with pytest.raises(InputError, match="max_tokens: found 4, expected an integer from 5 to 44"):
        Engine(pair, tokenizer, max_tokens=4)
    with pytest.raises(InputError, match="max_tokens: found 4, expected at least 5: 3 special tokens"):
        next(Engine(unknown, tokenizer, max_tokens=4).predict(iter(["word1"]), 0.5, pairs=iter(["word2"])))


# --- bad input --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speed": 1.5}, r"speed: found 1.5, expected a number in \[0, 1\]"),
        ({"speed": float("nan")}, "speed: found nan"),
        ({"speed": "fast"}, "speed: found 'fast'"),
        ({"batch_size": 0}, "batch_size: found 0, expected a positive integer"),
        ({"batch_size": True}, "batch_size: found True"),
        ({"max_layers": 0}, "max_layers: found 0, expected an integer from 1 to 4"),
        ({"max_layers": 5}, "max_layers: found 5"),
        ({"texts": ["a", 3]}, "texts: found int at sample 2, expected a text"),
        ({"pairs": ["a", "b"]}, "texts: found 1, expected as many texts as pairs"),
        ({"pairs": []}, "pairs: found 0, expected as many texts as pairs"),
        ({"pairs": [None]}, "pairs: found NoneType at sample 1"),
        ({"texts": ["a", "b"], "pairs": "cd"}, "pairs: found str with texts of type list"),
        ({"texts": "a", "pairs": ["b"]}, "pairs: found list with texts of type str"),
        ({"texts": encoded_samples([5]), "pairs": ["b"]}, "pairs: found list with texts of type Encoded"),
        ({"texts": {"a": "b"}}, "texts: found dict, expected texts, such as the list of one of its columns or values"),
        ({"texts": pd.DataFrame({"text": ["a"]})}, "texts: found DataFrame, expected texts"),
        ({"texts": ["a"], "pairs": {"a": "b"}}, "pairs: found dict, expected texts"),
        ({"texts": 5}, "texts: found int, expected a text, or a list or iterator of texts"),
        ({"texts": b"a"}, "texts: found bytes, expected a text"),
        ({"texts": ""}, "texts: found nothing to be seen at sample 1, expected a text"),
        ({"texts": ["a", " \0\t\u3000"]}, "texts: found nothing to be seen at sample 2"),
        ({"pairs": ["\x01\x02"]}, "pairs: found nothing to be seen at sample 1"),
        ({"texts": ["a", "\ud83d"]}, "texts: found half a surrogate pair at sample 2, expected a text"),
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
        ({"max_tokens": LONGEST + 1}, "max_tokens: found 45, expected an integer from 3 to 44"),
        ({"max_tokens": 2}, "max_tokens: found 2, expected an integer from 3 to 44"),
        ({"in_flight": 0}, "in_flight: found 0"),
        ({"precision": "int4"}, "precision: found 'int4'"),
        ({"device": "tpu"}, "device: found 'tpu'"),
    ],
)
def test_bad_options(model, tokenizer, options, message):
    with pytest.raises(InputError, match=message):
        Engine(model, tokenizer, **options)


def test_another_model_s_tokenizer_is_refused(model):
    other = BertTokenizerFast({word: index for index, word in enumerate([*SPECIAL, *WORDS, "one", "more"])})
    with pytest.raises(InputError, match="found a tokenizer of 107 tokens, expected at most the encoder's 105"):
        Engine(model, other)


def test_a_tokenizer_that_cannot_pad_is_refused(model, tokenizer):
    tokenizer = copy.deepcopy(tokenizer)
    tokenizer.pad_token = None
    with pytest.raises(InputError, match="tokenizer: found no padding token, expected one"):
        Engine(model, tokenizer)


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
    monkeypatch.setitem(TOKEN_BUDGET, "cpu", 256)
    engine = Engine(model, tokenizer)
    expected = engine.predict(encoded, 0.5, batch_size=batch_size)
    tried = limited(engine.model, monkeypatch, 4, error)
    with pytest.warns(UserWarning, match="memory ran out; going on with batches 4 times smaller"):
        found = engine.predict(encoded, 0.5, batch_size=batch_size)
    assert np.array_equal(found.exit_layers, expected.exit_layers)
    assert np.array_equal(found.labels, expected.labels)
    assert tried.count(16) == 1
    engine.predict(encoded, 0.5, batch_size=batch_size)
    assert tried.count(16) == 1  # what has not fitted once is not tried again


def test_out_of_memory_for_small_batches_too_is_a_clear_error(engine, monkeypatch):
    limited(engine.model, monkeypatch, 0, MemoryError())
    with pytest.warns(UserWarning, match="memory ran out"), pytest.raises(RunError, match="memory ran out, even for"):
        engine.predict(varied(20), 0.5)
    with pytest.raises(RunError, match="memory ran out"):
        engine.predict(varied(20), 0.5, batch_size=1)


def test_other_errors_pass(engine, monkeypatch):
    limited(engine.model, monkeypatch, 0, RuntimeError("something else"))
    with pytest.raises(RuntimeError, match="something else"):
        engine.predict(varied(20), 0.5)
