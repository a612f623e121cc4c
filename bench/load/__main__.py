"""`python -m bench.load`: load.csv, latency of three ways of serving as the rate of requests grows.

Client and server run on one machine, in one process; what the client's thread spends of the processor is not counted
as the server's. Rates are multiples of what the plain encoder does in full batches. Each way goes up until fewer than
half of its answers come within the objective, which is the best 99th percentile of the way without exits.
"""

import sys
import timeit
from functools import partial

import numpy as np
import torch

from bench import measure, models, tables
from bench.load.arrivals import KINDS, Observed, arrivals, observe
from bench.load.ways import WAYS, server
from bench.models import Subject
from fastbert_core.arguments import ArgumentParser, command_line, number
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.precision import ENGINE_PRECISIONS, resolve_device

STEPS = (0.1, 0.25, 0.5, 0.75, 0.9, 1.25, 1.75, 2.5, 3.5, 5.0)  # times the ceiling of the plain encoder
BELOW_CEILING = 1.0  # beyond it no queue of the plain encoder is ever empty again
ENOUGH = 0.5  # of the answers within the objective: with fewer, higher rates are not tried
CEILING_TEXTS, QUEUE = 96, 100_000


@command_line
def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = ArgumentParser(prog="python -m bench.load", description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK[/ENCODER]", help="default: one of the 12x768 encoder")
    parser.add_argument(
        "--seconds", type=number(3600, "seconds between 0 and 3600"), default=18.0, help="of a step (default: 18)"
    )
    parser.add_argument("--precision", choices=ENGINE_PRECISIONS, default="auto", help="default: auto")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    parser.add_argument("--quick", action="store_true", help="the smoke model, a fraction of a second a step")
    options = parser.parse_args(arguments)
    if options.quick and options.tasks:
        parser.error("--quick is of the smoke model alone, expected no task")
    names = models.asked(options.tasks or ([models.SMOKE] if options.quick else models.usual()[:1]))
    smoke = names == [models.SMOKE]
    tables.check("load", smoke)
    where, seconds = tables.here(), 0.3 if options.quick else options.seconds
    device, rows = resolve_device(options.device).type, []
    for name in names:
        rows += [row | where for row in loaded(models.load(name), device, options.precision, seconds)]
    print(tables.write("load", rows, smoke))
    return 0


def loaded(subject: Subject, device: str, precision: str, seconds: float) -> list[dict]:
    """The rows of a subject: every way under both kinds of arrivals, at the speed that table 2 chooses on dev."""
    if subject.split.pairs is not None:
        raise InputError(f"{subject.name}: found pairs of texts, expected single ones")
    speed = subject.chosen_speed
    engine = Engine(subject.model, subject.tokenizer, precision, device, queue=QUEUE)
    full = ceiling(subject, engine)
    texts = [subject.split.texts[row] for row in np.random.default_rng(models.SEED).permutation(len(subject.split))]
    alone = partial(_step, subject, engine, speed, texts, seconds)
    rows = []
    for kind in KINDS:
        seen = {"dense": [alone("dense", kind, step * full) for step in STEPS if step < BELOW_CEILING]}
        objective = min(np.percentile(each.latencies, 99) for _, each in seen["dense"])
        for way in WAYS[1:]:
            seen[way] = []
            for step in STEPS:
                seen[way].append(alone(way, kind, step * full))
                if np.mean(np.array(seen[way][-1][1].latencies) <= objective) < ENOUGH:
                    break
        about = {"task": subject.name, "device": device, "precision": engine.precision, "arrivals": kind}
        about |= {"objective_ms": 1000 * objective, "ceiling": full, "speed": speed}
        rows += [about | {"way": way} | row_of(*each, objective) for way in WAYS for each in seen[way]]
    engine.close()
    return rows


def ceiling(subject: Subject, engine: Engine) -> float:
    """Texts a second of the plain encoder, in full batches that all have arrived."""
    encoded = models.sample(subject, CEILING_TEXTS).encoded
    return len(encoded) / min(timeit.repeat(lambda: measure.dense(engine, encoded, CEILING_TEXTS), number=1, repeat=3))


def _step(
    subject: Subject, engine: Engine, speed: float, texts: list[str], seconds: float, way: str, kind: str, rate: float
) -> tuple[float, Observed]:
    submit, close = server(way, engine, speed)
    seed = int(1000 * rate) + KINDS.index(kind)  # the same for every way
    observe(submit, texts[-8:], np.zeros(8))  # warms up
    seen = observe(submit, texts, arrivals(kind, rate, seconds, seed))
    close()
    told = f"p99 {1000 * np.percentile(seen.latencies or [0], 99):.0f} ms"
    print(f"{subject.name}, {kind}, {way}: {rate:.1f} a second, {len(seen.latencies)} answers, {told}", flush=True)
    return rate, seen


def row_of(rate: float, seen: Observed, objective: float) -> dict:
    """What a step says, but for what all steps share."""
    p50, p95, p99 = (1000 * np.percentile(seen.latencies, q) for q in (50, 95, 99))
    return {
        "rate": rate,
        "requests": len(seen.latencies) + seen.refused,
        "refused": seen.refused,
        "p50_ms": p50,
        "p95_ms": p95,
        "p99_ms": p99,
        "goodput": float(np.sum(np.array(seen.latencies) <= objective)) / seen.seconds,
        "answered_per_second": len(seen.latencies) / seen.seconds,
        "utilisation": seen.server_seconds / (seen.seconds * torch.get_num_threads()),
        "client_share": seen.client_seconds / (seen.server_seconds + seen.client_seconds),
        "client_late_ms": 1000 * max(seen.late),
        "mean_layers": float(np.mean(seen.exits)),
    }


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
