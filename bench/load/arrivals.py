"""Open-loop arrivals: requests come when they come, whether or not the earlier ones have been answered."""

import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from dataclasses import dataclass, field

import numpy as np

from fastbert_core.errors import QueueFull

BURST = 8  # requests of a burst in the mean
KINDS = ("poisson", "bursty")


def arrivals(kind: str, rate: float, seconds: float, seed: int) -> np.ndarray:
    """When requests come, float64 ascending in [0, seconds): `rate` a second in the mean.

    `poisson`: one by one, independently; `bursty`: in bursts, whose number is Poisson's and whose size is geometric.
    """
    rng = np.random.default_rng(seed)
    size = BURST if kind == "bursty" else 1
    times = np.sort(rng.uniform(0, seconds, max(1, rng.poisson(rate / size * seconds))))
    return times if size == 1 else np.repeat(times, rng.geometric(1 / size, len(times)))


@dataclass
class Observed:
    """What became of the requests of a step.

    latencies: seconds from when a request was due until its answer; refused: requests that found the queue full
    exits: layers at which they left; seconds: from the first request's time to the last answer
    server_seconds, client_seconds: of CPU; late: seconds by which the client sent them after they were due
    """

    latencies: list[float] = field(default_factory=list)
    exits: list[int] = field(default_factory=list)
    late: list[float] = field(default_factory=list)
    refused: int = 0
    seconds: float = 0.0
    server_seconds: float = 0.0
    client_seconds: float = 0.0


def observe(submit: Callable[[str], Future], texts: Sequence[str], due: np.ndarray) -> Observed:
    """Send requests at the times `due`, with the texts in turn, and wait for all answers.

    The client is this thread. What it spends is its own; all else that the process spends is the server's.
    """
    seen, futures = Observed(), []
    begun, process, client = time.perf_counter(), time.process_time(), time.thread_time()
    for number, at in enumerate(due.tolist()):
        if (left := begun + at - time.perf_counter()) > 0:
            time.sleep(left)
        seen.late.append(time.perf_counter() - begun - at)
        try:
            future = submit(texts[number % len(texts)])
        except QueueFull:
            seen.refused += 1
            continue
        future.add_done_callback(lambda _, at=at: seen.latencies.append(time.perf_counter() - begun - at))
        futures.append(future)
    seen.client_seconds = time.thread_time() - client
    seen.exits = [future.result().exit_layer for future in futures]
    while len(seen.latencies) < len(futures):  # an answer is there before its callback has run
        time.sleep(0.001)
    seen.seconds = time.perf_counter() - begun
    seen.server_seconds = time.process_time() - process - seen.client_seconds
    return seen
