"""`run --dry-run`: what would be fetched and run, in rows and minutes. It fetches nothing and leaves no file."""

import os
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import cache
from pathlib import Path
from unittest.mock import patch

import torch

from fastbert_core.data import take_rows
from fastbert_core.encoder_folder import check_encoder, load_tokenizer, read_shape
from fastbert_core.encoding import encode
from fastbert_core.errors import InputError
from fastbert_core.flops import EncoderShape
from fastbert_core.precision import autocast
from fastbert_core.tasks import Task
from reproductions.names import RUNS
from reproductions.plan import Run, is_done
from reproductions.settings import planned_trainings
from reproductions.sources import Named, data_to_fetch, encoder_to_fetch, load_data, load_encoder
from reproductions.store import find_runs

BATCH = 32  # texts of a step that is timed
# An epoch of the students alone, in passes through the encoder.
STUDENTS = 0.15


def dry_run(
    tasks: Sequence[Task],
    profile: str,
    named: Named,
    trainings: Sequence[str] | None,
    planned: Callable[[list[Task]], list[Run]],
    results_dir: Path,
    replace: bool,
) -> list[InputError]:
    """Print each task's runs and their total; return all errors, so that one task's does not hide another's.

    trainings: those asked for, none for the profile's; planned: the runs of tasks whose data and encoder are at hand
    """
    wrong, minutes, done, uncounted = [], [], 0, 0
    stored = find_runs(results_dir)
    with tempfile.TemporaryDirectory() as scratch, patch.dict(os.environ, {RUNS: scratch}):  # for smoke's encoders
        for task in tasks:
            try:
                if wanted := _to_fetch(task, profile, named):
                    runs = trainings or planned_trainings(profile, task)
                    print(f"{task.name}, {', '.join(runs)}: {wanted} would be fetched first")
                    uncounted += len(runs)
                    continue
                for run in planned([task]):
                    line = f"{run.name}: run {run.run_id}, {len(run.train)} training rows"
                    if is_done(run, stored, replace):
                        done += 1
                        print(f"{line}: done")
                    else:
                        minutes.append(estimated_minutes(run))
                        print(f"{line}: {duration(minutes[-1])}")
            except InputError as error:
                wrong.append(error)
    counts = [f"{len(minutes)} to run, {duration(sum(minutes))}"] if minutes else []
    counts += [f"{done} done"] if done else []
    counts += [f"{uncounted} whose minutes are known once data and encoder are here"] if uncounted else []
    if counts:
        print(f"total: {'; '.join(counts)}")
    return wrong


def _to_fetch(task: Task, profile: str, named: Named) -> str:
    """What has to be fetched before the task can be planned, empty for nothing. What is at hand is checked anyway.

    Raises InputError as `load_data`, `load_encoder` and `check_encoder` do.
    """
    data, encoder = data_to_fetch(profile, task, named), encoder_to_fetch(profile, task, named)
    if encoder and not data:
        load_data(profile, task, named)
    if data and not encoder:
        check_encoder(load_encoder(profile, task, named, None, print).source, task.pair)
    return " and ".join(filter(None, (data, encoder)))


def estimated_minutes(run: Run) -> float:
    """Minutes that a run will take, roughly: its passes through a layer, at what one costs on this machine.

    A training step counts three passes, the backward pass twice a forward one; a shallow model counts by its depth.
    Self-distillation is one pass, whose states the epochs then share. What runs have in common, the first stage and
    the soft labels, is counted for each.
    """
    s = run.settings
    sample = take_rows(run.train, min(256, len(run.train)), s.seed)
    tokens = encode(load_tokenizer(run.backbone.source), sample.texts, sample.pairs, s.max_tokens).lengths
    shape = read_shape(run.backbone.source)
    passes = 3 * s.fine_tuning_epochs * len(run.train) + len(run.data.test)
    passes += sum((1 + STUDENTS * s.distillation_epochs) * len(run.train) for stage in s.later if stage.frozen)
    if s.layers:  # a shallow stage that matches the teacher's states runs the teacher beside it
        passes += sum(s.fine_tuning_epochs * len(run.train) * shape.layers / s.layers for x in s.later if x.matches)
        passes = len(run.train) + s.layers / shape.layers * passes
    width = max(8, 8 * round(tokens.mean() / 8))
    return passes * shape.layers * _seconds_of_a_layer(run.device, s.precision, shape, width) / 60


@cache
def _seconds_of_a_layer(device: torch.device, precision: str, shape: EncoderShape, width: int) -> float:
    """Of one pass of a text of `width` tokens: a third of a training step, dropout and AdamW included."""
    layer = torch.nn.TransformerEncoderLayer(
        shape.hidden, shape.heads, shape.intermediate, 0.1, "gelu", batch_first=True, device=device
    )
    optimizer = torch.optim.AdamW(layer.parameters(), fused=True)
    hidden = torch.randn(BATCH, width, shape.hidden, device=device, requires_grad=True)
    seconds = []
    for _ in range(4):  # the quickest: whatever else runs must not count
        start = time.perf_counter()
        with autocast(device, precision):
            loss = layer(hidden).float().square().mean()
        loss.backward()
        optimizer.step()
        loss.item()
        seconds.append(time.perf_counter() - start)
    return min(seconds) / 3 / BATCH


def duration(minutes: float) -> str:
    """A rough time in the unit that suits it."""
    if minutes >= 120:
        return f"about {minutes / 60:.1f} hours"
    if minutes >= 2:
        return f"about {minutes:.0f} minutes"
    seconds = max(1, round(60 * minutes))
    return f"about {seconds} second{'s' * (seconds > 1)}"
