"""Timed predictions, and what belongs beside their seconds."""

import time
from collections.abc import Callable, Iterator
from functools import partial

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench import subjects
from bench.clock import clocked
from bench.subjects import Subject
from fastbert_core.adaptive import Predictions, embedded
from fastbert_core.agreement import disagreements
from fastbert_core.encoding import Encoded, collate
from fastbert_core.flops import dense_true_macs, true_macs
from fastbert_core.inference import Engine
from fastbert_core.pooling import Group

# So many times fewer executed layers than the encoder has; 1 is speed 0.
REDUCTIONS = (1, 2, 4, 8)
SAME_LABEL_IN_BF16 = 0.995
WARMING = 64  # texts before the first round


def time_speeds(benchmark: BenchmarkFixture, engine: Engine, subject: Subject, batch: int, rounds: int) -> None:
    """Benchmark rounds of: the plain encoder, and the engine at the speed of each of REDUCTIONS, one after the other.

    In turns, since a machine's pace may drift by more than what is to be seen. Each way becomes an entry of `ways`,
    with its seconds by round, and what the engine answers is held against the trace: in fp32 it must agree, in bf16 a
    trained model must say the same of 99.5% of the samples.
    """
    ways: dict[float | None, Callable[[Subject], object]] = {
        None: lambda part: dense(engine, part.encoded, batch),
        **{speed: partial(_predict, engine, speed, batch) for speed in map(subject.speed, REDUCTIONS)},
    }
    entries = {speed: {"seconds": [], "embedding_seconds": []} for speed in ways}
    answers: dict[float | None, object] = {}
    if not benchmark.disabled:
        for work in ways.values():
            work(subjects.sample(subject, WARMING))

    def one_round() -> None:
        for speed, work in ways.items():
            with clocked(engine.model, "embed") as spent:
                start = time.perf_counter()
                answers[speed] = work(subject)
                entries[speed]["seconds"].append(time.perf_counter() - start)
            entries[speed]["embedding_seconds"].append(sum(spent.values()))

    benchmark.pedantic(one_round, rounds=rounds)
    entries[None] |= _executed_by_all(engine, subject)
    for speed in set(ways) - {None}:
        entries[speed] |= _executed(engine, subject, speed, answers[speed])
    benchmark.extra_info.update(about(engine, subject, batch), ways=list(entries.values()))


def _predict(engine: Engine, speed: float, batch: int, part: Subject) -> Predictions:
    return engine.predict(part.encoded, speed, batch_size=batch)


def _executed(engine: Engine, subject: Subject, speed: float, found: Predictions) -> dict:
    agreed = agreement(subject, found, speed)
    if engine.precision == "fp32":
        assert not agreed["unexcused"], "samples leave elsewhere, or with another label, than the trace says"
    elif not subject.is_smoke:
        assert agreed["same_label"] >= SAME_LABEL_IN_BF16, f"{agreed['same_label']:.4f} of the labels are the trace's"
    classes = len(engine.model.config.class_names)
    macs = true_macs(subject.shape, found.exit_layers, subject.encoded.lengths, classes)
    return agreed | {"mean_layers": float(found.exit_layers.mean()), "macs": int(macs.sum())}


def _executed_by_all(engine: Engine, subject: Subject) -> dict:
    classes = len(engine.model.config.class_names)
    macs = dense_true_macs(subject.shape, subject.encoded.lengths, classes)
    return {"speed": None, "mean_layers": engine.model.layers, "macs": int(macs.sum())}


@torch.inference_mode()
def dense(engine: Engine, encoded: Encoded, batch: int) -> np.ndarray:
    """Labels int64 [samples] of the teacher; like the engine's, a batch of 1 is not padded."""
    model, labels = engine.model, np.empty(len(encoded), np.int64)
    for group in _dense_batches(engine, encoded, batch):
        mask = group.mask()
        hidden, attention_mask = group.hidden, model.attention_mask(group.hidden, mask)
        for layer in range(1, model.layers + 1):
            hidden = model.run_layer(layer, hidden, attention_mask)
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


def agreement(subject: Subject, found: Predictions, speed: float) -> dict:
    """How many samples say what the trace says, and of those that do not, how near they are to the threshold."""
    broken, excused = disagreements(subject.trace, found.labels, found.exit_layers, speed)
    return {
        "speed": speed,
        "same_label": float((found.labels == subject.trace_labels(speed)).mean()),
        "differing": len(broken) + len(excused),
        "unexcused": len(broken),
        "differing_distances": distances(subject, found, speed),
    }


def distances(subject: Subject, found: Predictions, speed: float) -> list[float]:
    """For samples that leave elsewhere than the trace says: how near, at its closest, the trace came to the threshold.

    Ascending; up to the earlier of the two exits.
    """
    expected = subject.trace_exits(speed)
    nearest = []
    for sample in np.flatnonzero(found.exit_layers != expected):
        decided = min(expected[sample], found.exit_layers[sample])
        nearest.append(float(np.abs(subject.trace.uncertainties[sample, :decided] - speed).min()))
    return sorted(nearest)


def about(engine: Engine, subject: Subject, batch: int) -> dict:
    """What every timed prediction says of itself."""
    return {
        "task": subject.name,
        "encoder": subject.encoder,
        "device": engine.model.device.type,
        "precision": engine.precision,
        "mode": "latency" if batch == 1 else "throughput",
        "batch": batch,
        "samples": len(subject.encoded),
        "tokens": int(subject.encoded.lengths.sum()),
        "tokenisation_seconds": subject.tokenisation_seconds(alone=batch == 1),
    }
