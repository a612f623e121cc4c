"""`python -m bench.rivals`: rivals.csv, ours against what else runs on the same weights, on this machine's CPU.

Samples a second are from token ids to labels, the median of the rounds, after one that is not timed. The authors'
package labels all texts once, one by one, in a process of its own before the rounds; its samples a second are of that.
Our speed is the one that table 2 chooses on dev.

Who is as accurate as we are is told by all test texts, of which the timed ones are a sample too small for it. In fp32
the trace has that; in fewer bits it is the trace's, and what has changed on the timed texts.
"""

import copy
import statistics
import subprocess
import sys
import tempfile
import time
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch

from bench import models, tables
from bench.models import Subject
from bench.rivals import authors, dense
from fastbert_core.arguments import ArgumentParser, command_line, whole
from fastbert_core.encoding import Encoded
from fastbert_core.engine import Engine
from fastbert_core.exit_rules import at_exit
from fastbert_core.model import FastBertModel
from fastbert_core.precision import candidates

BATCHES = (32, 256)
# What float32 leaves between two implementations of the same model: in class probabilities, and how near to the
# threshold, or to a tie of two classes, a sample may be decided otherwise.
PROBABILITIES, NEAR = 1e-3, 1e-4


class Accuracies(NamedTuple):
    """Per cent, by a trace: of all test texts, and of the timed ones."""

    whole: float
    timed: float


class Way(NamedTuple):
    """A model in one precision and batch size, how it labels samples, and how well it does in fp32."""

    name: str
    precision: str
    batch: int
    labels: Callable[[Encoded], np.ndarray]
    known: Accuracies


class Measured(NamedTuple):
    """What it has shown; accuracy in per cent, of the timed texts and of all; slowest, fastest: of the rounds."""

    name: str
    precision: str
    batch: int
    samples_per_second: float
    slowest: float
    fastest: float
    accuracy: float
    whole_accuracy: float


@command_line
def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = ArgumentParser(prog="python -m bench.rivals", description=__doc__.splitlines()[0])
    parser.add_argument("tasks", nargs="*", metavar="TASK[/ENCODER]", help="default: one of each encoder")
    parser.add_argument("--rows", type=whole, default=384, help="test texts of a task (default: 384)")
    parser.add_argument("--rounds", type=whole, default=2, help="timed rounds (default: 2)")
    options = parser.parse_args(arguments)
    names, where = models.asked(options.tasks or models.usual()), tables.here()
    smoke = names == [models.SMOKE]
    tables.check("rivals", smoke)
    rows = [row | where for name in names for row in compare(models.load(name), options.rows, options.rounds)]
    print(tables.write("rivals", rows, smoke))
    return 0


def compare(subject: Subject, texts: int, rounds: int) -> list[dict]:
    """The rows of a subject: each rival against our engine at its best, the authors' package at batch 1 too."""
    speed, timed = subject.chosen_speed, models.sample(subject, texts)
    known = Accuracies(*(_accuracy(each, each.trace_labels(speed)) for each in (subject, timed)))
    precisions = candidates(torch.device("cpu"))
    alone = _ours(timed, speed, "fp32", 1, known)
    ours = [_ours(timed, speed, precision, batch, known) for precision in precisions for batch in BATCHES]
    dense_ways = _dense_ways(subject, timed, precisions)
    reads_it = timed.encoded.segments is None  # the package reads single texts of [CLS] and no more
    is_bert = timed.model.backbone.config.model_type == "bert"
    theirs = _authors(timed, speed, known) if reads_it and is_bert else None
    alone, *found = _in_rounds(timed, [alone, *ours, *dense_ways], rounds)
    best = max(found[: len(ours)], key=lambda measured: measured.samples_per_second)
    pairs = [(theirs, alone), (theirs, best)] if theirs else []
    run_id = None if subject.is_smoke else models.available()[subject.name].parent.name
    more = {"model_run_id": run_id, "speed": speed}
    return [_row(timed, *pair) | more for pair in (*pairs, *((rival, best) for rival in found[len(ours) :]))]


def _dense_ways(subject: Subject, timed: Subject, precisions: list[str]) -> list[Way]:
    full = Accuracies(*(_accuracy(each, each.trace.predictions[:, -1]) for each in (subject, timed)))
    floats = [precision for precision in precisions if precision != "int8"]
    by_torch, made = dense.by_transformers, copy.deepcopy  # of the model, which quantising changes
    found = [("transformers", p, full, by_torch(made(timed.model), p)) for p in precisions]
    if dense.has_compiler():
        found += [("torch.compile", p, full, by_torch(made(timed.model), p, compiled=True)) for p in floats]
    found += [("onnxruntime", p, full, dense.by_onnxruntime(timed, p)) for p in ("fp32", "int8")]
    found += [("openvino", p, full, dense.by_openvino(timed, p)) for p in floats]
    name = f"distilbert-{subject.shape.layers // 2}"
    if compact := _compact(name, subject, timed):
        model, known = compact
        found += [(name, p, known, by_torch(made(model), p)) for p in precisions]
    pad_id = timed.tokenizer.pad_token_id
    return [
        Way(name, precision, batch, partial(dense.labels, forward, pad_id=pad_id, batch=batch), known)
        for name, precision, known, forward in found
        for batch in BATCHES
    ]


def _accuracy(subject: Subject, labels: np.ndarray) -> float:
    return 100 * float((labels == subject.trace.labels).mean())


def _compact(training: str, subject: Subject, timed: Subject) -> tuple[FastBertModel, Accuracies] | None:
    """The task's DistilBERT of half the layers, where it has been trained; the smoke model's is cut out of it."""
    if subject.is_smoke:
        model = subject.model.first_of_blocks(subject.shape.layers // 2)
        engine = Engine(model, subject.tokenizer)
        found = (engine.predict(each.encoded, 0.0).labels for each in (subject, timed))
        return model, Accuracies(*map(_accuracy, (subject, timed), found))
    folder = models.available(training).get(subject.name)
    if folder is None:
        return None
    trace = models.trace_of(folder, "test")
    right = trace.predictions[:, -1] == trace.labels
    of_timed = right[models.sampled(len(right), len(timed.split))]
    known = Accuracies(100 * float(right.mean()), 100 * float(of_timed.mean()))
    return FastBertModel.from_pretrained(folder).eval(), known


def _ours(subject: Subject, speed: float, precision: str, batch: int, known: Accuracies) -> Way:
    engine = Engine(subject.model, subject.tokenizer, precision, "cpu")
    return Way("ours", precision, batch, lambda encoded: engine.predict(encoded, speed, batch_size=batch).labels, known)


def _authors(subject: Subject, speed: float, known: Accuracies) -> Measured:
    """The authors' package in its own process, which labels all texts once; what it says must be ours."""
    with tempfile.TemporaryDirectory() as folder:
        model, samples, output = (Path(folder) / name for name in ("model", "samples.npz", "output.npz"))
        subject.model.save_pretrained(model)
        np.savez(samples, ids=subject.encoded.ids, offsets=subject.encoded.offsets)
        command = [sys.executable, "-m", "bench.rivals.authors", model, samples, output, str(speed)]
        subprocess.run([*command, "--threads", str(torch.get_num_threads())], check=True)
        with np.load(output, allow_pickle=False) as stored:
            found = dict(stored)
    assert_ours(subject, speed, found)
    way = Way(f"fastbert=={authors.VERSION}", "fp32", 1, None, known)
    return _measured(subject, way, [float(found["seconds"].sum())], found["labels"])


def assert_ours(subject: Subject, speed: float, found: dict[str, np.ndarray]) -> None:
    """Assert that what the authors' package found is what our trace says.

    All layers' probabilities of the few samples whose `logits` were kept; of all samples the exits, but for those NEAR
    the threshold, and the labels, but for those NEAR a tie of the two best classes too.
    """
    ours = subject.trace.probabilities[: len(found["logits"])]
    theirs = torch.from_numpy(found["logits"]).softmax(dim=-1).numpy()
    assert np.abs(ours - theirs).max() < PROBABILITIES, "the authors' package gives other probabilities on our weights"
    exits = subject.trace_exits(speed)
    best, second = np.sort(at_exit(subject.trace.probabilities, exits))[:, :-3:-1].T
    clear = np.abs(subject.trace.uncertainties - speed).min(axis=1) > NEAR
    elsewhere = clear & (found["exit_layers"] != exits)
    assert not elsewhere.any(), f"the authors' package leaves elsewhere on samples {np.flatnonzero(elsewhere)[:10]}"
    otherwise = clear & (best - second > NEAR) & (found["labels"] != subject.trace_labels(speed))
    assert not otherwise.any(), f"the authors' package labels samples {np.flatnonzero(otherwise)[:10]} otherwise"


def _in_rounds(subject: Subject, ways: list[Way], rounds: int) -> list[Measured]:
    """The ways, one after the other in every round, so that a drift of the machine's pace meets them all.

    Each labels all texts once before: in 16 bits and in compiled models, every shape of a batch that is new costs time.
    """
    for way in ways:
        way.labels(subject.encoded)
    found, seconds = {}, defaultdict(list)
    for round_ in range(1, rounds + 1):
        for at, way in enumerate(ways):
            start = time.perf_counter()
            found[at] = way.labels(subject.encoded)
            seconds[at].append(time.perf_counter() - start)
            rate = len(subject.encoded) / seconds[at][-1]
            print(
                f"{subject.name}, round {round_} of {rounds}: {way.name}, {way.precision}, batch {way.batch}: "
                f"{rate:.1f} samples/s",
                flush=True,
            )
    return [_measured(subject, way, seconds[at], found[at]) for at, way in enumerate(ways)]


def _measured(subject: Subject, way: Way, seconds: list[float], labels: np.ndarray) -> Measured:
    accuracy = _accuracy(subject, labels)
    rates = [len(labels) / each for each in (statistics.median(seconds), max(seconds), min(seconds))]
    return Measured(*way[:3], *rates, accuracy, way.known.whole + accuracy - way.known.timed)


def _row(subject: Subject, theirs: Measured, ours: Measured) -> dict:
    row = {"task": subject.name, "rival": theirs.name, "samples": len(subject.encoded)}
    for prefix, side in (("", theirs), ("ours_", ours)):
        row |= {f"{prefix}{name}": value for name, value in side._asdict().items() if name != "name"}
    return row | {"ours_over_rival": ours.samples_per_second / theirs.samples_per_second}


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
