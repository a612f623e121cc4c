"""Samples a second of the two stages of training, and of the pass that the second begins with."""

import copy
import tempfile
import time
from pathlib import Path

import pytest

from bench.measure import rate
from fastbert_core.encoding import encode
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.trainings import TRAININGS, Schedule, Schedules

STEPS, BATCH = 4, 32


@pytest.mark.benchmark(group="training")
@pytest.mark.parametrize("stage", ["fine-tuning", "self-distillation"])
def test_rate(benchmark, engine, subject, stage):
    """An epoch of 4 batches of 32; `seconds` leaves out checkpoints, which the benchmark's time contains.

    In self-distillation one pass through backbone and teacher gives the students' inputs and soft labels for all
    epochs: that is `frozen pass`, and `self-distillation` an epoch of the students on its result.
    """
    rows = subject.take([row % len(subject.split) for row in range(STEPS * BATCH)])
    model = copy.deepcopy(subject.model).to(engine.model.device)
    samples = Samples(rows.encoded, rows.split.labels)
    few = Samples(
        encode(subject.tokenizer, rows.split.texts[:2], rows.split.pairs and rows.split.pairs[:2]), samples.labels[:2]
    )
    schedule = Schedule(epochs=1, rate=1e-5, batch_size=BATCH)
    stages = {s.name: s for s in TRAININGS["self-distillation"](Schedules(schedule, schedule))}

    def epoch() -> list[float]:
        """When the stage begins, when its epoch does, and when that ends."""
        times = [time.perf_counter()]
        with tempfile.TemporaryDirectory() as folder:
            of = Path(folder), subject.tokenizer.pad_token_id, engine.precision, lambda line: None
            place = Workplace(*of, after_epoch=lambda *_: times.append(time.perf_counter()))
            train(model, stages[stage], samples, few, place)
        return times

    start, first, last = benchmark.pedantic(epoch, rounds=1)
    once = {"frozen pass": first - start} if stage == "self-distillation" else {}
    benchmark.extra_info.update(rate(subject, stage, samples.encoded, engine), seconds=last - first, before=once)
