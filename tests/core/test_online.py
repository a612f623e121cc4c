"""Requests one at a time: the answers of `predict`, and what becomes of each request when something goes wrong."""

import gc
import subprocess
import sys
import threading
import time
from concurrent.futures import CancelledError, Future, ThreadPoolExecutor, wait
from pathlib import Path

import numpy as np
import pytest
import torch

from fastbert_core import adaptive
from fastbert_core.engine import TOKEN_BUDGET, Engine
from fastbert_core.errors import Closed, DeadlinePassed, InputError, QueueFull, RunError
from fastbert_core.exit_rules import RULES
from tests.core.small import LAYERS, WORDS, make_model, texts_of
from tests.core.test_engine import limited

SPEEDS = (0.0, 0.3, 0.5, 0.7, 1.0)
TIMEOUT = 60  # of whatever ends at once, so that a hang fails


@pytest.fixture
def engine(model, tokenizer):
    with Engine(model, tokenizer) as engine:
        yield engine


class Gate:
    """Holds the model before each layer until it is let through; `layers`: (layer, rows) of every batch so far."""

    def __init__(self, model, monkeypatch):
        self.layers, self._open, self._passed = [], threading.Semaphore(0), threading.Semaphore(0)
        run_layer = model.run_layer

        def held(layer, hidden, context):
            self.layers.append((layer, len(hidden)))
            self._passed.release()
            assert self._open.acquire(timeout=TIMEOUT)
            return run_layer(layer, hidden, context)

        monkeypatch.setattr(model, "run_layer", held)

    def reached(self):
        """Wait until a batch stands before a layer."""
        assert self._passed.acquire(timeout=TIMEOUT)

    def pass_one(self):
        """Let the batch through that stands there, and wait until the next stands before its layer."""
        self._open.release()
        self.reached()

    def pass_all(self):
        self._open.release(10_000)


def assert_same(found, expected):
    """The label and the exit, and what the last bits of a batch leave of the rest."""
    assert found[:3] == expected[:3]
    assert found.truncated == expected.truncated
    assert found.uncertainty == pytest.approx(expected.uncertainty, abs=1e-4)
    assert found.probabilities == pytest.approx(expected.probabilities, abs=1e-4)


# --- answers ---


# A batch ahead: as on a GPU, whose answers are read when the next batch is on its way.
@pytest.mark.parametrize(("rule", "ahead"), [("entropy", 0), ("entropy", 1), ("patience", 0), ("energy", 0)])
def test_many_threads_get_what_predict_answers_beside_them(engine, monkeypatch, rule, ahead):
    monkeypatch.setitem(adaptive.AHEAD, "cpu", ahead)
    texts = texts_of(60)
    speeds = [SPEEDS[at % len(SPEEDS)] for at in range(len(texts))]
    with ThreadPoolExecutor(8) as pool:
        futures = list(pool.map(lambda text, speed: engine.submit(text, speed, rule=rule), texts, speeds))
    by_speed = {speed: engine.predict(texts, speed, rule=rule) for speed in SPEEDS}
    for at, (future, speed) in enumerate(zip(futures, speeds, strict=True)):
        assert_same(future.result(TIMEOUT), by_speed[speed][at])
    assert len({future.result().exit_layer for future in futures}) > 1


def test_requests_of_several_rules_and_depths_run_together(engine, monkeypatch):
    text, other = texts_of(2)
    wanted = [{"speed": 0.0}, {"speed": 0.0, "max_layers": 2}, {"speed": 0.4, "rule": "patience"}, {"speed": 1.0}]
    expected = [engine.predict(text, batch_size=1, **want) for want in wanted]
    gate = Gate(engine.model, monkeypatch)
    first = engine.submit(other, 0)
    gate.reached()
    futures = [engine.submit(text, **want) for want in wanted]
    gate.pass_all()
    for future, answer in zip(futures, expected, strict=True):
        assert_same(future.result(TIMEOUT), answer)
    assert first.result(TIMEOUT).exit_layer == LAYERS
    assert (1, len(wanted)) in gate.layers


def test_pairs_and_long_texts_run_together_with_others(engine, monkeypatch):
    long = " ".join(WORDS * 3)
    texts, pairs = ["word1 word2", long, "word3"], ["word9", "word4 word5", long]
    expected = [*engine.predict(texts, 0.4, pairs=pairs), *engine.predict(texts, 0.4)]
    gate = Gate(engine.model, monkeypatch)
    engine.submit("word1", 0)
    gate.reached()
    futures = [engine.submit(text, 0.4, pair) for text, pair in zip(texts, pairs, strict=True)]
    futures += [engine.submit(text, 0.4) for text in texts]
    gate.pass_all()
    for future, answer in zip(futures, expected, strict=True):
        assert_same(future.result(TIMEOUT), answer)
    assert [answer.truncated for answer in expected] == [False, True, True, False, True, False]
    assert gate.layers[:3] == [(1, 1), (1, 3), (1, 3)]  # the short ones, then the long ones, pairs and single texts


def test_who_arrives_during_a_layer_joins(engine, monkeypatch):
    texts = [" ".join(WORDS[:6])] * 5
    gate = Gate(engine.model, monkeypatch)
    first = engine.submit(texts[0], 0)
    gate.reached()
    others = [engine.submit(text, 0) for text in texts[1:]]
    gate.pass_all()
    wait([first, *others], TIMEOUT)
    assert gate.layers == [(1, 1), (1, 4), *((layer, 5) for layer in range(2, LAYERS + 1))]
    assert engine.online.counts.batches == LAYERS + 1
    assert engine.online.counts.rows == 5 * LAYERS


# --- what is refused ---


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"speed": 2}, "speed: found 2"),
        ({}, "found none of them, expected one of speed"),
        ({"speed": 0.5, "text": " "}, "texts: found nothing to be seen"),
        ({"speed": 0.5, "text": ["a"]}, "texts: found list at sample 1, expected a text"),
        ({"speed": 0.5, "pair": 5}, "pairs: found int at sample 1"),
        ({"speed": 0.5, "deadline": 0}, "deadline: found 0, expected a positive number of seconds"),
        ({"speed": 0.5, "deadline": "soon"}, "deadline: found 'soon'"),
        ({"speed": 0.5, "deadline": float("nan")}, "deadline: found nan"),
        ({"speed": 0.5, "max_layers": 9}, "max_layers: found 9"),
    ],
)
def test_bad_requests_are_refused_at_once(engine, arguments, message):
    with pytest.raises(InputError, match=message):
        engine.submit(**{"text": "word1"} | arguments)
    assert engine.online.under_way == 0


def test_a_queue_of_nothing_is_refused(model, tokenizer):
    with pytest.raises(InputError, match="queue: found 0, expected a positive integer"):
        Engine(model, tokenizer, queue=0)


def test_a_full_queue_refuses_or_lets_wait(model, tokenizer, monkeypatch):
    with Engine(model, tokenizer, queue=2) as engine:
        gate = Gate(engine.model, monkeypatch)
        under_way = [engine.submit("word1", 1), engine.submit("word2", 1)]
        with pytest.raises(QueueFull, match="found 2 requests under way, expected fewer than 2"):
            engine.submit("word3", 1)
        with pytest.raises(DeadlinePassed, match="waited for room"):
            engine.submit("word3", 1, deadline=0.05, wait=True)
        with ThreadPoolExecutor(1) as pool:
            third = pool.submit(engine.submit, "word3", 1, wait=True)
            gate.reached()
            assert not third.done()
            gate.pass_all()
            assert third.result(TIMEOUT).result(TIMEOUT).exit_layer == 1
        assert [future.result(TIMEOUT).exit_layer for future in under_way] == [1, 1]
        assert engine.online.under_way == 0


def test_a_callback_is_refused_where_it_would_wait_for_its_own_thread(model, tokenizer, monkeypatch):
    with Engine(model, tokenizer, queue=2) as engine:
        gate, refused = Gate(engine.model, monkeypatch), Future()

        def ask_twice(_):
            engine.submit("word3", 1, wait=True)  # takes the room of the request that has ended
            try:
                engine.submit("word4", 1, wait=True, deadline=1)
            except RunError as error:
                refused.set_result(error)

        futures = [engine.submit(word, speed) for word, speed in (("word1", 1), ("word2", 0))]
        futures[0].add_done_callback(ask_twice)
        gate.pass_all()
        assert isinstance(refused.result(TIMEOUT), QueueFull)
        assert futures[1].result(TIMEOUT).exit_layer == LAYERS


def test_a_request_past_its_deadline_costs_no_further_layer(engine, monkeypatch):
    gate = Gate(engine.model, monkeypatch)
    patient = engine.submit("word1", 0)
    gate.reached()
    hasty = engine.submit("word2", 0, deadline=0.01)
    time.sleep(0.02)
    gate.pass_all()
    with pytest.raises(DeadlinePassed, match="the deadline passed before the request had an answer"):
        hasty.result(TIMEOUT)
    assert issubclass(DeadlinePassed, TimeoutError)
    assert patient.result(TIMEOUT).exit_layer == LAYERS
    assert gate.layers == [(layer, 1) for layer in range(1, LAYERS + 1)]


def test_a_cancelled_request_costs_no_further_layer(engine, monkeypatch):
    gate = Gate(engine.model, monkeypatch)
    first, second = engine.submit("word1", 0), None
    gate.reached()
    second = engine.submit("word2", 0)
    assert second.cancel()
    assert engine.online.under_way == 1
    gate.pass_one()
    assert first.cancel()
    gate.pass_all()
    with pytest.raises(CancelledError):
        first.result(TIMEOUT)
    assert engine.submit("word3", 1).result(TIMEOUT).exit_layer == 1
    assert gate.layers == [(1, 1), (2, 1), (1, 1)]


# --- the end ---


def test_closing_finishes_what_is_under_way(model, tokenizer, monkeypatch):
    engine = Engine(model, tokenizer)
    gate = Gate(engine.model, monkeypatch)
    futures = [engine.submit(text, 0) for text in texts_of(20)]
    gate.reached()
    closing = threading.Thread(target=engine.close)
    closing.start()
    while engine.online.open:
        time.sleep(0.001)
    with pytest.raises(Closed, match="the engine is closed"):
        engine.submit("word1", 0)
    gate.pass_all()
    closing.join(TIMEOUT)
    assert [future.result(0).exit_layer for future in futures] == [LAYERS] * 20
    engine.close()  # again, and nothing happens
    assert engine.predict("word1", 1).exit_layer == 1


def test_closing_without_finishing_refuses_each(model, tokenizer, monkeypatch):
    engine = Engine(model, tokenizer, queue=30)
    gate = Gate(engine.model, monkeypatch)
    futures = [engine.submit(text, 0) for text in texts_of(30)]
    gate.reached()
    with ThreadPoolExecutor(1) as pool:
        waiting = pool.submit(engine.submit, "word1", 0, wait=True)
        closing = threading.Thread(target=engine.close, args=[False])
        closing.start()
        with pytest.raises(Closed):
            waiting.result(TIMEOUT)
    gate.pass_all()
    closing.join(TIMEOUT)
    for future in futures:
        with pytest.raises(Closed, match="closed before the request had an answer"):
            future.result(0)
    assert engine.online.under_way == 0


def test_an_engine_that_nobody_holds_ends_its_thread(model, tokenizer):
    engine = Engine(model, tokenizer)
    future, thread = engine.submit("word1", 0), engine.online._thread
    del engine
    gc.collect()
    thread.join(TIMEOUT)
    assert not thread.is_alive()
    assert future.result(0).exit_layer == LAYERS


AT_THE_END = """
from fastbert_core.engine import Engine
from tests.core.small import make_model, make_tokenizer, texts_of
engine = Engine(make_model().eval(), make_tokenizer())
for text in texts_of(50):
    engine.submit(text, 0).add_done_callback(lambda future: print(future.result().exit_layer, flush=True))
"""


def test_the_interpreter_ends_after_the_last_answer():
    root = Path(__file__).parents[2]
    done = subprocess.run([sys.executable, "-c", AT_THE_END], cwd=root, capture_output=True, text=True, timeout=300)
    assert (done.returncode, done.stdout.split()) == (0, [str(LAYERS)] * 50), done.stderr


# --- failures ---


def test_what_is_not_finite_fails_alone(tokenizer):
    model = make_model().eval()
    with torch.no_grad():
        model.backbone.embeddings.word_embeddings.weight[tokenizer.vocab["word9"]] = torch.nan
    with Engine(model, tokenizer) as engine:
        futures = [engine.submit(text, 0) for text in ("word1 word2", "word9", "word3 word4")]
        with pytest.raises(RunError, match=r"^layer 1: the probabilities are not finite$"):
            futures[1].result(TIMEOUT)
        assert [futures[at].result(TIMEOUT).exit_layer for at in (0, 2)] == [LAYERS] * 2


def test_what_a_rule_cannot_be_told_fails_alone(tokenizer):
    """Energy takes e^z, which is no number from logits of 710 on, of which probabilities are sound."""
    model = make_model()
    with torch.no_grad():
        model.classifiers[0].output.bias += 800
    with Engine(model, tokenizer) as engine:
        futures = [engine.submit("word1", 0, rule=rule) for rule in ("energy", "entropy")]
        with pytest.raises(RunError, match=r"^layer 1: the probabilities are not finite$"):
            futures[0].result(TIMEOUT)
        assert futures[1].result(TIMEOUT).exit_layer == LAYERS
        assert engine.submit("word1", 0).result(TIMEOUT).exit_layer == LAYERS


def test_a_rule_that_was_fitted_on_other_classes_fails_its_own_requests_alone(engine):
    p = np.random.default_rng(0).dirichlet(np.ones(5), (20, LAYERS))
    futures = [engine.submit("word1", 0, rule=rule) for rule in (RULES["gate"].fit(p), None)]
    with pytest.raises(InputError, match=r"exit rule: found 1 layers of 3 classes, expected 4 layers of 5"):
        futures[0].result(TIMEOUT)
    assert futures[1].result(TIMEOUT).exit_layer == LAYERS
    assert engine.submit("word1", 0).result(TIMEOUT).exit_layer == LAYERS


# Which errors are such ones, test_engine.py holds.
def test_out_of_memory_tries_smaller_batches(model, tokenizer, monkeypatch, caplog):
    text = " ".join(WORDS[:6])  # of 8 tokens
    monkeypatch.setitem(TOKEN_BUDGET, "cpu", 64)
    with Engine(model, tokenizer) as engine:
        expected = engine.predict(text, 0.3)
        limited(engine.model, monkeypatch, 2, MemoryError())
        futures = [engine.submit(text, 0.3) for _ in range(40)]
        for future in futures:
            assert_same(future.result(TIMEOUT), expected)
    assert "memory ran out; going on with smaller batches" in caplog.text


@pytest.mark.parametrize(
    ("error", "told", "message"),
    [
        (MemoryError(), RunError, "memory ran out, even for smaller batches"),
        (RuntimeError("something else"), RuntimeError, "something else"),
    ],
)
def test_what_a_layer_raises_reaches_its_requests_and_no_others(engine, monkeypatch, error, told, message):
    with monkeypatch.context() as patch:
        limited(engine.model, patch, 0, error)
        futures = [engine.submit("word1", 0) for _ in range(3)]
        for future in futures:
            with pytest.raises(told, match=message):
                future.result(TIMEOUT)
    assert engine.submit("word1", 1).result(TIMEOUT).exit_layer == 1


def test_a_thread_that_fails_leaves_nobody_waiting(model, tokenizer, monkeypatch, caplog):
    engine = Engine(model, tokenizer)
    monkeypatch.setattr(engine.online._waiting, "next", lambda: 1 / 0)
    future = engine.submit("word1", 0)
    with pytest.raises(ZeroDivisionError):
        future.result(TIMEOUT)
    engine.online._thread.join(TIMEOUT)
    with pytest.raises(Closed):
        engine.submit("word1", 0)
    assert "the engine's thread has failed" in caplog.text


def test_nothing_is_lost_among_deadlines_and_cancellations(model, tokenizer, monkeypatch):
    """Every future ends, those with an answer with the right one, and the queue is empty again."""
    texts, rng = texts_of(200, seed=3), np.random.default_rng(5)
    monkeypatch.setitem(TOKEN_BUDGET, "cpu", 128)
    engine = Engine(model, tokenizer, queue=40)
    expected, futures = engine.predict(texts, 0.4), {}
    for at, text in enumerate(texts):
        deadline = None if rng.random() < 0.7 else float(rng.choice([1e-4, 1e-3, TIMEOUT]))
        try:
            futures[at] = engine.submit(text, 0.4, deadline=deadline, wait=True)
        except DeadlinePassed:
            continue
        if rng.random() < 0.2:
            futures[int(rng.choice(list(futures)))].cancel()
    engine.close()
    answered = 0
    for at, future in futures.items():
        assert future.done()
        if not future.cancelled() and future.exception(0) is None:
            assert_same(future.result(0), expected[at])
            answered += 1
        elif not future.cancelled():
            assert isinstance(future.exception(0), DeadlinePassed)
    assert answered > 50
    assert engine.online.under_way == 0
