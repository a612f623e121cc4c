"""`fastbert serve`: an HTTP server around the online engine, by FastAPI and uvicorn; needs the extra `serve`."""

import asyncio
import signal
import socket
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Annotated, Any

import uvicorn
from fastapi import FastAPI, Request, Response
from fastapi.responses import JSONResponse
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily, Metric
from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import ClientDisconnect

from fastbert_core.engine import Engine, Prediction
from fastbert_core.errors import Closed, DeadlinePassed, InputError, QueueFull, RunError, one_line
from fastbert_core.predicting import told_of

RETRY_AFTER = 1  # seconds that a refused client is asked to wait
GONE = 499  # nginx's, for the metrics: the client has hung up
STATUS = {InputError: 422, QueueFull: 429, DeadlinePassed: 504, Closed: 503, RunError: 500}


@dataclass(frozen=True)
class Limits:
    """What a server takes and how long it tries.

    max_bytes: of a request's body; deadline: seconds, where a request names none, and at most
    wanted: speed, speedup or max_disagreement of requests that name none of them
    """

    wanted: dict[str, float]
    max_bytes: int = 2**20
    deadline: float = 30.0


class Asked(BaseModel):
    """The body of a request: a text or several, each with a second text where the model was trained on pairs."""

    model_config = ConfigDict(extra="forbid", strict=True)

    text: str | None = None
    texts: Annotated[list[str], Field(min_length=1)] | None = None
    pair: str | None = None
    pairs: list[str] | None = None
    speed: float | None = Field(None, description="threshold of the uncertainty, from 0 (all layers) to 1")
    speedup: float | None = Field(None, description="so many times fewer operations, such as 3")
    max_disagreement: float | None = Field(None, description="share that may be answered otherwise than in full")
    rule: str | None = Field(None, description="an exit rule whose threshold `speed` is (default: the task type's)")
    deadline: float | None = Field(None, gt=0, description="seconds, after which an answer is of no use")
    probabilities: bool = Field(False, description="of every class, too")

    def items(self) -> list[tuple[str, str | None]]:
        """Texts with their second texts. Raises InputError unless there is one of text and texts, with its partners."""
        if (self.text is None) == (self.texts is None):
            found = "neither" if self.text is None else "both"
            raise InputError(f"body: found {found} of text and texts, expected one of them")
        if self.text is not None:
            texts, pairs, other = [self.text], None if self.pair is None else [self.pair], self.pairs
        else:
            texts, pairs, other = self.texts, self.pairs, self.pair
        if other is not None or (pairs is not None and len(pairs) != len(texts)):
            raise InputError("body: expected `pair` with `text`, and with `texts` as many `pairs`")
        if any("\0" in text for text in (*texts, *(pairs or ()))):
            raise InputError("body: found a NUL character in a text, expected none, as in files")
        return list(zip(texts, pairs or [None] * len(texts), strict=True))


def application(engine: Engine, limits: Limits) -> FastAPI:
    """The server's application: /predict, /health, /metrics, and /docs, which FastAPI makes of the form of the body."""
    app = FastAPI(title="fastbert", description="A text classifier that exits early.")
    metrics = Metrics(engine)
    schema = {"requestBody": {"content": {"application/json": {"schema": Asked.model_json_schema()}}, "required": True}}

    @app.post("/predict", openapi_extra=schema)
    async def predict(request: Request) -> Response:
        begun = time.perf_counter()
        status, content = await answer(engine, limits, request)
        metrics.count(status, content, time.perf_counter() - begun)
        headers = {"Retry-After": str(RETRY_AFTER)} if status in (429, 503) else None
        return JSONResponse(content, status, headers)

    @app.get("/health")
    def health() -> Response:
        alive = engine.online.open
        about = {"status": "ok" if alive else "closed", "classes": engine.model.config.class_names}
        about |= {"layers": engine.model.layers, "precision": engine.precision, "device": engine.model.device.type}
        return JSONResponse(about, 200 if alive else 503)

    @app.get("/metrics")
    def prometheus() -> Response:
        return Response(generate_latest(metrics.registry), media_type=CONTENT_TYPE_LATEST)

    return app


async def answer(engine: Engine, limits: Limits, request: Request) -> tuple[int, Any]:
    """The status and the content that answer a request."""
    gone = GONE, {"error": "the client has hung up"}
    try:
        raw = await _body(request, limits.max_bytes)
        if raw is None:
            return 413, {"error": f"body: found more than {limits.max_bytes} bytes, expected no more"}
        asked = Asked.model_validate_json(raw)
        items = asked.items()
        if len(items) > engine.online.most:
            return 413, {"error": f"texts: found {len(items)}, expected at most {engine.online.most}"}
        wanted = asked.model_dump(include={"speed", "speedup", "max_disagreement"}, exclude_none=True)
        deadline = min(asked.deadline or limits.deadline, limits.deadline)
        options = (wanted or limits.wanted) | {"rule": asked.rule, "deadline": deadline}
        found = await _predicted(engine, items, options, request)
    except ClientDisconnect:  # before its body was whole
        return gone
    except ValidationError as error:
        first = error.errors(include_url=False, include_input=False)[0]
        where = ".".join(map(str, first["loc"])) or "body"
        return 422, {"error": one_line(f"{where}: {first['msg']}")}
    except tuple(STATUS) as error:
        return next(status for kind, status in STATUS.items() if isinstance(error, kind)), {"error": str(error)}
    if found is None:
        return gone
    names = engine.model.config.class_names if asked.probabilities else None
    told = [told_of(each, names) for each in found]
    return 200, told[0] if asked.text is not None else {"predictions": told}


async def _body(request: Request, most: int) -> bytes | None:
    """The body; None, and no more of it read, if it is of more than `most` bytes."""
    raw = bytearray()
    async for chunk in request.stream():
        raw += chunk
        if len(raw) > most:
            return None
    return bytes(raw)


async def _predicted(engine: Engine, items: list, options: dict, request: Request) -> list[Prediction] | None:
    """Predictions of all items; None if the client hangs up meanwhile. What is not waited for any more is cancelled."""
    futures = []

    def submit() -> None:
        for text, pair in items:
            futures.append(engine.submit(text, pair=pair, **options))

    gone = asyncio.create_task(_gone(request))
    try:
        await asyncio.to_thread(submit)  # tokenises, which may take longer than the loop should stand still
        answers = asyncio.gather(*map(asyncio.wrap_future, futures))
        await asyncio.wait({answers, gone}, return_when=asyncio.FIRST_COMPLETED)
        if not answers.done():
            answers.cancel()
            return None
        return await answers
    finally:
        gone.cancel()
        for future in futures:
            future.cancel()


async def _gone(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


class Metrics:
    """What /metrics tells: requests by status, their seconds, texts by exit layer, and what the engine counts."""

    def __init__(self, engine: Engine) -> None:
        self.registry, self._engine = CollectorRegistry(), engine
        shared = {"registry": self.registry, "namespace": "fastbert"}
        self._requests = Counter("requests", "Requests by status", ["status"], **shared)
        self._seconds = Histogram("request_seconds", "From body to answer", **shared)
        self._texts = Counter("texts", "Texts answered, by exit layer", ["exit_layer"], **shared)
        self.registry.register(self)

    def count(self, status: int, content: dict, seconds: float) -> None:
        """A request that has been answered."""
        self._requests.labels(str(status)).inc()
        self._seconds.observe(seconds)
        for told in content.get("predictions", [content]) if status == 200 else []:
            self._texts.labels(str(told["exit_layer"])).inc()

    def collect(self) -> Iterator[Metric]:
        """The engine's own counts, as prometheus_client asks for them."""
        online = self._engine.online
        yield GaugeMetricFamily("fastbert_under_way", "Texts without an answer yet", online.under_way)
        yield GaugeMetricFamily("fastbert_queue", "Texts that may be under way", online.most)
        yield CounterMetricFamily("fastbert_batches", "Batches that ran a layer", online.counts.batches)
        yield CounterMetricFamily("fastbert_rows", "Texts in these batches", online.counts.rows)
        yield CounterMetricFamily("fastbert_busy_seconds", "In which the model ran", online.counts.busy_seconds)


def serve(engine: Engine, limits: Limits, host: str, port: int) -> None:
    """Serve until SIGTERM or an interrupt; then take no more, finish what is under way, and return.

    One text is predicted before, so that what cannot be wanted of the model is refused here. Raises InputError for
    that, and for an address that cannot be had.
    """
    if engine.model.kind.of_words:
        raise InputError("serve: found a model of words, expected one that gives a text one answer; see predict")
    # Not by `submit`, whose texts the metrics count.
    engine.predict("warm", pairs="warm" if engine.model.config.pair else None, **limits.wanted)
    config = uvicorn.Config(application(engine, limits), log_level="warning", access_log=False)
    server = uvicorn.Server(config)
    # When uvicorn has finished, it raises the signal again for the handler before its own, which must not kill us.
    signal.signal(signal.SIGTERM, lambda *_: setattr(server, "should_exit", True))
    with engine, _listening(host, port) as listener:
        at = f"[{host}]" if ":" in host else host
        about = f"{engine.model.layers} layers, {engine.precision}, {engine.model.device.type}"
        print(f"serving at http://{at}:{listener.getsockname()[1]} ({about}); /docs tells how", file=sys.stderr)
        sys.stderr.flush()
        server.run(sockets=[listener])


def _listening(host: str, port: int) -> socket.socket:
    try:
        return socket.create_server((host, port), family=socket.AF_INET6 if ":" in host else socket.AF_INET)
    except (OSError, OverflowError) as error:
        reason = getattr(error, "strerror", None) or error
        raise InputError(f"{host}:{port}: {reason}; expected an address of this machine and a free port") from None
