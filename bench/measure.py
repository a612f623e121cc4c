"""Timed predictions, and what belongs beside their seconds."""

import statistics
import timeit
from collections.abc import Iterator
from functools import partial

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import models
from bench.clock import Work, in_turns
from bench.models import Subject
from fastbert_core.adaptive import Predictions, embedded
from fastbert_core.agreement import disagreements
from fastbert_core.encoding import Encoded, collate
from fastbert_core.engine import Engine
from fastbert_core.flops import dense_true_macs, true_macs
from fastbert_core.pooling import Group
from fastbert_core.reduced import DTYPES

# So many times fewer executed layers than the encoder has; 1 is speed 0.
REDUCTIONS = (1, 2, 4, 8)
SAME_LABEL_IN_BF16 = 0.995
ONE_TOKEN_ROUNDS = 30
# Texts before the first round; with 16 bits it is all of them, as oneDNN makes a kernel for each new shape of a batch.
WARMING = 64


def time_speeds(benchmark: BenchmarkFixture, engine: Engine, subject: Subject, batch: int) -> None:
    """Benchmark, in turns, the plain encoder and the engine at the speed of each of REDUCTIONS.

    Each becomes an entry of `ways` with its seconds; what the engine answers must agree with the trace.
    """
    speeds = {subject.speed(reduction): reduction for reduction in REDUCTIONS}

    def works(part: Subject) -> list[Work]:
        at_speeds = (
            Work(partial(engine.predict, part.encoded, speed, batch_size=batch), 1 / reduction)
            for speed, reduction in speeds.items()
        )
        return [Work(partial(dense, engine, part.encoded, batch)), *at_speeds]

    if not benchmark.disabled:
        for work in works(subject if engine.precision in DTYPES else models.sample(subject, WARMING)):
            work.do()
    timed = works(subject)
    benchmark.pedantic(in_turns, (engine.model, timed), rounds=1)
    classes = len(engine.model.config.class_names)
    macs = dense_true_macs(subject.shape, subject.encoded.lengths, classes).sum()
    executed = [{"speed": None, "mean_layers": engine.model.layers, "macs": int(macs)}]
    executed += [_executed(engine, subject, speed, work.answer) for speed, work in zip(speeds, timed[1:], strict=True)]
    ways = [
        {"seconds": work.seconds, "embedding_seconds": work.embedding_seconds} | more
        for work, more in zip(timed, executed, strict=True)
    ]
    fixed = {"fixed_cost_us": fixed_cost_us(engine, subject)} if batch == 1 else {}
    benchmark.extra_info.update(about(engine, subject, batch) | fixed, ways=ways)


def _executed(engine: Engine, subject: Subject, speed: float, found: Predictions) -> dict:
    agreed = agreement(engine, subject, speed, found)
    classes = len(engine.model.config.class_names)
    macs = true_macs(subject.shape, found.exit_layers, subject.encoded.lengths, classes)
    return agreed | {"mean_layers": float(found.exit_layers.mean()), "macs": int(macs.sum())}


@torch.inference_mode()
def dense(engine: Engine, encoded: Encoded, batch: int) -> np.ndarray:
    """Labels int64 [samples] of the teacher; like the engine's, a batch of 1 is not padded."""
    model, labels = engine.model, np.empty(len(encoded), np.int64)
    for group in _dense_batches(engine, encoded, batch):
        mask = group.mask()
        hidden, context = group.hidden, model.context(group.hidden, mask)
        for layer in range(1, model.layers + 1):
            hidden = model.run_layer(layer, hidden, context)
        labels[group.samples] = model.classify(model.layers, hidden, mask).argmax(dim=-1).cpu().numpy()
    return labels


def _dense_batches(engine: Engine, encoded: Encoded, batch: int) -> Iterator[Group]:
    pad_id = engine.tokenizer.pad_token_id
    if batch > 1:
        yield from embedded(engine.model, encoded, pad_id, engine.shapes(batch))
        return
    for sample in range(len(encoded)):
        row = np.array([sample])
        alone = collate(encoded, row, pad_id, engine.model.device)
        yield Group(row, encoded.lengths[row], engine.model.embed(alone.input_ids, alone.token_type_ids))


def fixed_cost_us(engine: Engine, subject: Subject) -> float:
    """Median microseconds that a text of one token, with hardly any MACs, takes for each of all layers.

    The layer's student is in it, and a share of the embedding.
    """
    encoded = subject.encoded
    one = Encoded(encoded.ids[:1], None if encoded.segments is None else encoded.segments[:1], np.array([0, 1]))
    seconds = timeit.repeat(lambda: engine.predict(one, 0.0, batch_size=1), number=1, repeat=ONE_TOKEN_ROUNDS)
    return 1e6 * statistics.median(seconds) / engine.model.layers


def agreement(engine: Engine, subject: Subject, speed: float, found: Predictions) -> dict:
    """How many samples say what the fp32 trace says, and how near the others are to the threshold.

    Asserts that in fp32 none differs without excuse, and at most 1 in 1000 with one; and that in 16 bits a trained
    model has the same label for 99.5% of the samples. What int8 keeps is measured alone.
    """
    broken, excused = disagreements(
        subject.trace, found.labels, found.exit_layers, speed, tolerance=subject.trace.kept_to
    )
    same = float((found.labels == subject.trace_labels(speed)).mean())
    if engine.precision == "fp32":
        assert not broken.size, f"samples {broken[:10]} leave elsewhere, or with another label, than the trace says"
        assert excused.size <= max(1, len(subject.encoded) // 1000)
    elif engine.precision in DTYPES and not subject.is_smoke:
        assert same >= SAME_LABEL_IN_BF16, f"{100 * same:.2f}% of the labels are those of the fp32 trace"
    return {
        "speed": speed,
        "same_label": same,
        "differing": len(broken) + len(excused),
        "unexcused": len(broken),
        "differing_distances": distances(subject, found, speed),
    }


def distances(subject: Subject, found: Predictions, speed: float) -> list[float]:
    """For samples that leave elsewhere than the trace says: how near, at its closest, the trace came to the threshold.

    Ascending; up to the earlier of the two exits.
    """
    expected = subject.trace_exits(speed)
    away, earlier = np.abs(subject.trace.uncertainties - speed), np.minimum(expected, found.exit_layers)
    return sorted(float(away[row, : earlier[row]].min()) for row in np.flatnonzero(found.exit_layers != expected))


def rate(subject: Subject, what: str, encoded: Encoded, engine: Engine | None = None) -> dict:
    """What every row of rates.csv says of itself; an engine's place is its own, all else is done by the CPU."""
    return {
        "task": subject.name,
        "device": engine.model.device.type if engine else "cpu",
        "precision": engine.precision if engine else None,
        "what": what,
        "samples": len(encoded),
        "mean_tokens": float(encoded.lengths.mean()),
    }


def about(engine: Engine, subject: Subject, batch: int) -> dict:
    """What every timed prediction says of itself."""
    return {
        "task": subject.name,
        "device": engine.model.device.type,
        "precision": engine.precision,
        "mode": "latency" if batch == 1 else "throughput",
        "batch": batch,
        "samples": len(subject.encoded),
        "tokenisation_seconds": subject.tokenisation_seconds(alone=batch == 1),
    }
