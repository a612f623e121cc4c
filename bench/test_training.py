"""Samples a second of the two stages of training."""

import copy
import tempfile
import time
from pathlib import Path

import pytest

from fastbert_core.encoding import encode
from fastbert_core.fitting import Schedule
from fastbert_core.training import Samples, Workplace, fine_tune, self_distil

STEPS, BATCH = 4, 32


class Clock:
    """Takes the stage's log lines, of which one comes before the epoch and one after it."""

    def __init__(self) -> None:
        self.times: list[float] = []

    def __call__(self, line: str) -> None:
        self.times.append(time.perf_counter())

    @property
    def seconds(self) -> float:
        """Of the epoch, without the writing of checkpoints and results."""
        assert len(self.times) == 2
        return self.times[1] - self.times[0]


@pytest.mark.benchmark(group="training")
@pytest.mark.parametrize("stage", ["fine-tuning", "self-distillation"])
def test_rate(benchmark, engine, subject, stage):
    """An epoch of 4 batches of 32; `seconds` leaves out checkpoints, which the benchmark's time contains."""
    rows = subject.take([row % len(subject.split) for row in range(STEPS * BATCH)])
    model = copy.deepcopy(subject.model).to(engine.model.device)
    samples = Samples(rows.encoded, rows.split.labels)
    few = Samples(
        encode(subject.tokenizer, rows.split.texts[:2], rows.split.pairs and rows.split.pairs[:2]), samples.labels[:2]
    )
    schedule, clock = Schedule(epochs=1, rate=1e-5, batch_size=BATCH), Clock()

    def epoch() -> None:
        with tempfile.TemporaryDirectory() as folder:
            place = Workplace(Path(folder), subject.tokenizer.pad_token_id, engine.precision, clock)
            if stage == "fine-tuning":
                fine_tune(model, samples, few, schedule, place)
            else:
                self_distil(model, samples.encoded, schedule, place)

    benchmark.pedantic(epoch, rounds=1)
    benchmark.extra_info.update(
        task=subject.name,
        device=engine.model.device.type,
        precision=engine.precision,
        what=stage,
        samples=STEPS * BATCH,
        mean_tokens=float(samples.encoded.lengths.mean()),
        seconds=clock.seconds,
    )
