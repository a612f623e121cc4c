"""The server: in this process where the model must be held back, else as a process of its own, on a free port."""

import http.client
import json
import os
import re
import signal
import socket
import sys
import threading
import time
from concurrent.futures import ThreadPoolExecutor

import pytest
import torch
import uvicorn

from fastbert_core import cli, serving
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.serving import Limits, application
from tests.core.forked import SERVER
from tests.core.small import CLASSES, LAYERS, make_model, make_tokenizer, texts_of
from tests.core.test_online import TIMEOUT, Gate


class Server:
    """An application behind uvicorn, in a thread."""

    def __init__(self, engine, limits):
        self.listener = socket.create_server(("127.0.0.1", 0))
        self.port, self.engine = self.listener.getsockname()[1], engine
        self.server = uvicorn.Server(uvicorn.Config(application(engine, limits), log_level="warning"))
        self.thread = threading.Thread(target=self.server.run, kwargs={"sockets": [self.listener]}, daemon=True)
        self.thread.start()

    def close(self):
        self.server.should_exit = True
        self.thread.join(TIMEOUT)
        self.listener.close()


def serve(model, tokenizer):
    with Engine(model, tokenizer, queue=4) as engine:
        server = Server(engine, Limits({"speed": 0.5}, max_bytes=2000, deadline=TIMEOUT))
        yield server
        server.close()


@pytest.fixture
def server(model, tokenizer):
    yield from serve(model, tokenizer)


@pytest.fixture(scope="module")
def lasting(model, tokenizer):
    """One that bad requests, one after another, must not harm."""
    yield from serve(model, tokenizer)


def ask(port, body=None, path="/predict", **headers):
    """Status, content and headers of an answer; `body` is JSON unless it is bytes."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=TIMEOUT)
    try:
        raw = body if isinstance(body, bytes | None) else json.dumps(body).encode()
        connection.request("GET" if body is None else "POST", path, raw, headers)
        response = connection.getresponse()
        content = response.read().decode()
        is_json = response.headers["content-type"] == "application/json"
        return response.status, json.loads(content) if is_json else content, response.headers
    finally:
        connection.close()


def counted(port, name):
    """A number of /metrics."""
    return float(re.search(rf"^{re.escape(name)} (\S+)$", ask(port, path="/metrics")[1], re.MULTILINE)[1])


# --- answers ---


def test_a_text_and_a_batch(server):
    texts = texts_of(3)
    for want in ({}, {"speed": 0.0}, {"speed": 0.3, "rule": "patience"}):
        expected = server.engine.predict(texts, **{"speed": 0.5} | want)
        status, content, _ = ask(server.port, {"texts": texts} | want)
        assert status == 200
        assert [told["label"] for told in content["predictions"]] == [each.label for each in expected]
        assert [told["exit_layer"] for told in content["predictions"]] == [each.exit_layer for each in expected]
        status, told, _ = ask(server.port, {"text": texts[0], "probabilities": True} | want)
        assert (status, told["label"], told["exit_layer"]) == (200, *expected[0][0:3:2])
        assert told["uncertainty"] == pytest.approx(expected[0].uncertainty, abs=1e-4)
        assert list(told["probabilities"]) == CLASSES
        assert sum(told["probabilities"].values()) == pytest.approx(1, abs=1e-5)
        assert told["truncated"] is False


def test_a_model_of_scores_leaves_by_the_rule_of_its_type(tokenizer):
    model = make_model(classes=["score"], of_type={"task_type": "regression", "scores": [0.0, 5.0]}).eval()
    for server in serve(model, tokenizer):
        expected = server.engine.predict("word1 word2", 0.5)
        status, told, _ = ask(server.port, {"text": "word1 word2", "probabilities": True})
        assert (status, told.get("exit_layer")) == (200, expected.exit_layer)
        assert "probabilities" not in told
        assert told["label"] == pytest.approx(expected.label, abs=1e-4)


def test_a_model_of_words_is_refused_before_anybody_asks(tokenizer):
    model = make_model(classes=["O", "B-PER"], of_type={"task_type": "sequence-labelling"}).eval()
    with Engine(model, tokenizer) as engine, pytest.raises(InputError, match="found a model of words"):
        serving.serve(engine, Limits({"speed": 0.5}), "127.0.0.1", 0)


def test_pairs(server):
    expected = server.engine.predict(["word1", "word2"], 0.2, pairs=["word3", "word4"])
    _, content, _ = ask(server.port, {"texts": ["word1", "word2"], "pairs": ["word3", "word4"], "speed": 0.2})
    assert [told["label"] for told in content["predictions"]] == [each.label for each in expected]
    _, told, _ = ask(server.port, {"text": "word1", "pair": "word3", "speed": 0.2})
    assert (told["label"], told["exit_layer"]) == (expected[0].label, expected[0].exit_layer)


def test_health_metrics_and_docs(server):
    status, content, _ = ask(server.port, path="/health")
    assert (status, content["status"], content["classes"], content["layers"]) == (200, "ok", CLASSES, LAYERS)
    ask(server.port, {"texts": ["word1", "word2"], "speed": 1})
    ask(server.port, {"text": 5})
    assert counted(server.port, 'fastbert_requests_total{status="200"}') == 1
    assert counted(server.port, 'fastbert_requests_total{status="422"}') == 1
    assert counted(server.port, 'fastbert_texts_total{exit_layer="1"}') == 2
    assert counted(server.port, "fastbert_rows_total") == 2
    assert counted(server.port, "fastbert_batches_total") in (1, 2)
    assert counted(server.port, "fastbert_request_seconds_count") == 2
    assert counted(server.port, "fastbert_under_way") == 0
    _, about, _ = ask(server.port, path="/openapi.json")
    assert "max_disagreement" in json.dumps(about["paths"]["/predict"]["post"]["requestBody"])
    assert ask(server.port, path="/docs")[0] == 200
    server.engine.close()  # the seconds of the last batch are added after its answer
    assert counted(server.port, "fastbert_busy_seconds_total") > 0
    assert ask(server.port, path="/health")[0] == 503
    assert ask(server.port, {"text": "word1"})[0] == 503


# --- what is refused ---


# What the engine refuses, it refuses here in its words (test_online.py).
@pytest.mark.parametrize(
    ("body", "status", "said"),
    [
        (b"", 422, "body: Invalid JSON"),
        (b"\xff\xfe", 422, "body: Invalid JSON"),
        (b"[" * 1900, 422, "body: Invalid JSON"),
        (["a"], 422, "body: Input should be an object"),
        ({}, 422, "body: found neither of text and texts"),
        ({"text": "a", "texts": ["a"]}, 422, "body: found both of text and texts"),
        ({"texts": []}, 422, "texts: List should have at least 1 item"),
        ({"texts": ["a", 5]}, 422, "texts.1: Input should be a valid string"),
        ({"texts": ["a"], "pairs": []}, 422, "as many `pairs`"),
        ({"texts": ["a"], "pair": "b"}, 422, "expected `pair` with `text`"),
        ({"text": "a", "pairs": ["b"]}, 422, "expected `pair` with `text`"),
        ({"text": "a\0b"}, 422, "body: found a NUL character in a text"),
        ({"texts": ["a"], "pairs": ["a\0b"]}, 422, "body: found a NUL character in a text"),
        ({"text": "a", "sped": 1}, 422, "sped: Extra inputs are not permitted"),
        ({"text": "a", "speed": 2}, 422, "speed: found 2.0, expected a number in [0, 1]"),
        ({"text": "a", "speed": "1"}, 422, "speed: Input should be a valid number"),
        ({"text": "a", "deadline": 0}, 422, "deadline: Input should be greater than 0"),
        ({"texts": ["a"] * 5}, 413, "texts: found 5, expected at most 4"),
        ({"text": "a" * 2000}, 413, "body: found more than 2000 bytes"),
    ],
)
def test_bad_bodies(lasting, body, status, said):
    found, content, _ = ask(lasting.port, body)
    assert (found, list(content)) == (status, ["error"])
    assert said in content["error"]
    assert "\n" not in content["error"]
    assert lasting.engine.online.under_way == 0
    assert ask(lasting.port, {"text": "word1"})[0] == 200


def test_an_oversized_body_is_not_read_to_its_end(server):
    """Nor believed: it comes in chunks, without a length, and never ends."""
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: here\r\nTransfer-Encoding: chunked\r\n\r\n")
        line.sendall(b"3e8\r\n" + b"a" * 1000 + b"\r\n" + b"3e9\r\n" + b"a" * 1001 + b"\r\n")
        assert line.recv(1000).startswith(b"HTTP/1.1 413")


def test_other_ways_are_refused(server):
    assert ask(server.port, path="/predict")[0] == 405
    assert ask(server.port, {}, path="/elsewhere")[0] == 404


def test_a_full_queue_is_429_and_says_when_to_come_again(server, monkeypatch):
    gate = Gate(server.engine.model, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(ask, server.port, {"texts": texts_of(3), "speed": 1})
        gate.reached()
        while server.engine.online.under_way < 3:
            time.sleep(0.001)
        status, content, headers = ask(server.port, {"texts": ["word1", "word2"], "speed": 1})
        assert (status, headers["retry-after"]) == (429, "1")
        assert "requests under way, expected fewer than 4" in content["error"]
        assert server.engine.online.under_way == 3  # of a batch that is refused, nothing is left behind
        gate.pass_all()
        assert batch.result(TIMEOUT)[0] == 200
    assert ask(server.port, {"texts": texts_of(4), "speed": 1})[0] == 200


def test_a_deadline_is_504(server, monkeypatch):
    gate = Gate(server.engine.model, monkeypatch)
    with ThreadPoolExecutor(1) as pool:
        server.engine.submit("word1", 0)
        gate.reached()
        hasty = pool.submit(ask, server.port, {"text": "word1", "speed": 0, "deadline": 0.1})
        while server.engine.online.under_way < 2:
            time.sleep(0.001)
        time.sleep(0.15)
        gate.pass_all()
        status, content, _ = hasty.result(TIMEOUT)
    assert (status, content) == (504, {"error": "the deadline passed before the request had an answer"})


def test_a_request_waits_no_longer_than_the_server_does(model, tokenizer, monkeypatch):
    gate = Gate(model, monkeypatch)
    with Engine(model, tokenizer) as engine, ThreadPoolExecutor(2) as pool:
        server = Server(engine, Limits({"speed": 0.0}, deadline=0.1))
        engine.submit("word1", 0)
        gate.reached()
        asked = [pool.submit(ask, server.port, {"text": "word1"} | more) for more in ({}, {"deadline": 60})]
        while engine.online.under_way < 3:
            time.sleep(0.001)
        time.sleep(0.15)
        gate.pass_all()
        assert [each.result(TIMEOUT)[0] for each in asked] == [504, 504]
        server.close()


def test_probabilities_that_are_not_finite_are_500(tokenizer):
    model = make_model().eval()
    with torch.no_grad():
        model.backbone.embeddings.word_embeddings.weight[tokenizer.vocab["word9"]] = torch.nan
    for server in serve(model, tokenizer):
        status, content, _ = ask(server.port, {"text": "word9"})
        assert (status, content) == (500, {"error": "layer 1: the probabilities are not finite"})
        assert ask(server.port, {"text": "word1"})[0] == 200


def test_a_client_that_hangs_up_costs_no_further_layer(server, monkeypatch):
    gate = Gate(server.engine.model, monkeypatch)
    body = json.dumps({"text": "word1", "speed": 0}).encode()
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as line:
        line.sendall(b"POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: %d\r\n\r\n%b" % (len(body), body))
        gate.reached()
    end = time.monotonic() + TIMEOUT
    while server.engine.online.under_way:
        assert time.monotonic() < end
        time.sleep(0.001)
    gate.pass_all()
    assert ask(server.port, {"text": "word1", "speed": 1})[0] == 200
    assert gate.layers == [(1, 1), (1, 1)]
    assert counted(server.port, 'fastbert_requests_total{status="499"}') == 1


def test_a_client_that_hangs_up_within_its_body_is_counted_and_no_fault(server, caplog):
    with socket.create_connection(("127.0.0.1", server.port), timeout=TIMEOUT) as line:
        line.sendall(b'POST /predict HTTP/1.1\r\nHost: here\r\nContent-Length: 99\r\n\r\n{"text": ')
    end = time.monotonic() + TIMEOUT
    while 'fastbert_requests_total{status="499"} 1.0' not in ask(server.port, path="/metrics")[1]:
        assert not caplog.messages
        assert time.monotonic() < end
    assert not caplog.messages


# --- a process of its own ---


@pytest.fixture(scope="module")
def deep(tmp_path_factory):
    """A model of so many layers that a large batch takes a second."""
    folder = tmp_path_factory.mktemp("deep")
    make_model(layers=48).save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def run_command(folder, told):
    """What the process does: the command, with a file for its stderr."""
    signal.signal(signal.SIGINT, signal.default_int_handler)  # in the background nobody hears it
    with open(told, "w", buffering=1) as sys.stderr:
        sys.exit(cli.main(["serve", str(folder), "--port", "0", "--speed", "0.5"]))


@pytest.mark.parametrize(("ending", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_a_signal_lets_what_is_under_way_finish(deep, tmp_path, ending, code):
    told = tmp_path / "told"
    told.touch()
    process = SERVER.Process(target=run_command, args=(deep, told), daemon=True)
    process.start()
    while not (begun := told.read_text()) and process.is_alive():
        time.sleep(0.01)
    found = re.fullmatch(r"serving at http://127\.0\.0\.1:(\d+) \(48 layers, fp32, \w+\); /docs tells how\n", begun)
    assert found, begun
    port = int(found[1])
    with ThreadPoolExecutor(1) as pool:
        batch = pool.submit(ask, port, {"texts": texts_of(400, seed=2), "speed": 0})
        while not counted(port, "fastbert_under_way"):
            time.sleep(0.01)
        os.kill(process.pid, ending)
        assert not batch.done()
        status, content, _ = batch.result(TIMEOUT)
    assert (status, len(content["predictions"])) == (200, 400)
    process.join(TIMEOUT)
    assert process.exitcode == code
    with pytest.raises(OSError, match="refused"):
        ask(port, {"text": "word1"})
    assert told.read_text() == begun + ("" if code == 0 else "error: interrupted\n")


# --- the command ---


@pytest.fixture(scope="module")
def folder(model, tokenizer, tmp_path_factory):
    folder = tmp_path_factory.mktemp("served")
    model.save_pretrained(folder)
    tokenizer.save_pretrained(folder)
    return folder


def test_the_text_that_is_tried_at_start_is_not_counted_and_the_options_are_the_limits(folder, monkeypatch):
    served = []
    monkeypatch.setattr(signal, "signal", lambda *_: None)
    monkeypatch.setattr(serving, "application", lambda engine, limits: served.append((engine.online, limits)))
    monkeypatch.setattr(uvicorn.Server, "run", lambda *_, **__: None)
    words = ["--queue", "5", "--max-bytes", "7", "--deadline", "3"]
    assert cli.main(["serve", str(folder), "--port", "0", "--speed", "0", *words]) == 0
    ((online, limits),) = served
    assert (online.counts.batches, online.counts.rows, online.counts.busy_seconds) == (0, 0, 0)
    assert (online.most, limits) == (5, Limits({"speed": 0.0}, max_bytes=7, deadline=3.0))


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--port", "99999999", "--speed", "1"], "127.0.0.1:99999999: "),
        (["--host", "192.0.2.1", "--port", "0", "--speed", "1"], "192.0.2.1:0: "),
        (["--queue", "0"], "argument --queue: found '0', expected a whole number from 1"),
        (["--deadline", "-1"], "argument --deadline: found '-1', expected a positive number of seconds"),
        ([], "found no operating_points.json, expected operating points; `fastbert calibrate"),
    ],
)
def test_what_cannot_be_served_ends_at_once(folder, words, said, capsys):
    try:
        code = cli.main(["serve", str(folder), *words])
    except SystemExit as end:
        code = end.code
    error = capsys.readouterr().err
    assert code == 2
    assert said in error
    assert error.count("\n") == 1


def test_without_the_extra_the_remedy_is_told(folder, monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "uvicorn", None)
    monkeypatch.delitem(sys.modules, "fastbert_core.serving")
    assert cli.main(["serve", str(folder), "--speed", "1"]) == 2
    assert "found no package uvicorn, expected it; pip install 'fastbert-core[serve]'" in capsys.readouterr().err
