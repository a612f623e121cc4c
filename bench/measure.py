"""One timed prediction, and what belongs beside its seconds."""

import statistics
import time
from collections.abc import Callable, Iterator

import numpy as np
import torch
from pytest_benchmark.fixture import BenchmarkFixture

from bench.clock import clocked
from bench.subjects import Subject
from fastbert_core.adaptive import Predictions, embedded
from fastbert_core.agreement import disagreements
from fastbert_core.encoding import Encoded, collate
from fastbert_core.flops import EncoderShape, dense_true_macs, true_macs
from fastbert_core.inference import Engine
from fastbert_core.pooling import Group, Shapes

# So many times fewer executed layers than the encoder has; 1 is speed 0.
REDUCTIONS = (1, 2, 4, 8)
SAME_LABEL_IN_BF16 = 0.995


def time_engine(
    benchmark: BenchmarkFixture, engine: Engine, subject: Subject, reduction: int, batch: int, rounds: int
) -> None:
    """Benchmark the engine on the subject's token ids at the speed of that reduction, and check what it answers.

    In fp32 it must agree with the trace; in bf16 a trained model must say the same of 99.5% of the samples.
    """
    speed = subject.speed(reduction)
    found, seconds = _timed(benchmark, engine, lambda: engine.predict(subject.encoded, speed, batch_size=batch), rounds)
    agreed = agreement(subject, found, speed)
    if engine.precision == "fp32":
        assert not agreed["unexcused"], "samples leave elsewhere, or with another label, than the trace says"
    elif not subject.is_smoke:
        assert agreed["same_label"] >= SAME_LABEL_IN_BF16, f"{agreed['same_label']:.4f} of the labels are the trace's"
    classes = len(engine.model.config.class_names)
    macs = true_macs(subject.shape, found.exit_layers, subject.encoded.lengths, classes)
    benchmark.extra_info.update(about(engine, subject, batch) | seconds | agreed | {
        "mean_layers": float(found.exit_layers.mean()),
        "macs": int(macs.sum()),
    })  # fmt: skip


def time_dense(benchmark: BenchmarkFixture, engine: Engine, subject: Subject, batch: int, rounds: int) -> None:
    """Benchmark the same encoder as a plain BERT in the same batches: every layer and the teacher, no students."""
    _, seconds = _timed(benchmark, engine, lambda: dense(engine, subject.encoded, batch), rounds)
    classes = len(engine.model.config.class_names)
    benchmark.extra_info.update(about(engine, subject, batch) | seconds | {
        "speed": None,
        "mean_layers": engine.model.layers,
        "macs": int(dense_true_macs(subject.shape, subject.encoded.lengths, classes).sum()),
    })  # fmt: skip


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
        longest = EncoderShape.from_config(engine.model.config).max_tokens
        yield from embedded(engine.model, encoded, pad_id, Shapes(longest, 0, batch))
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


def _timed(
    benchmark: BenchmarkFixture, engine: Engine, work: Callable[[], object], rounds: int
) -> tuple[object, dict[str, float]]:
    """The work's result, and the median seconds of its rounds: in all, in embedding, and without it."""
    totals, embedding = [], []

    def one_round() -> object:
        with clocked(engine.model, "embed") as spent:
            start = time.perf_counter()
            result = work()
            totals.append(time.perf_counter() - start)
        embedding.append(sum(spent.values()))
        return result

    enabled = not benchmark.disabled
    result = benchmark.pedantic(one_round, rounds=rounds, warmup_rounds=int(enabled))
    totals, embedding = totals[int(enabled) :], embedding[int(enabled) :]
    layers = [total - embed for total, embed in zip(totals, embedding, strict=True)]
    return result, {
        "seconds": statistics.median(totals),
        "embedding_seconds": statistics.median(embedding),
        "layers_seconds": statistics.median(layers),
    }


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
