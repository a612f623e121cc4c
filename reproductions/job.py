"""A run that is to be made: what identifies it, whether it is done, and how long it will take."""

import json
import time
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fastbert_core.data import Split, TaskData, check_classes, halves, take_rows
from fastbert_core.encoder_folder import Backbone, read_shape
from fastbert_core.encoding import encode, load_tokenizer
from fastbert_core.errors import InputError
from fastbert_core.flops import dense_true_macs
from reproductions import store
from reproductions.seeds import check_seeds
from reproductions.settings import Settings, distilbert_layers
from reproductions.sources import runs_folder

# Of the rate of one large matrix product, what training reaches: dropout, AdamW and the rest take their share.
EFFICIENCY = 0.6
# How dev is divided: the same for every seed, so that their traces can be averaged.
DEV_SEED = 7
# An epoch of the students alone, in passes through the encoder.
STUDENTS = 0.15


@dataclass(frozen=True, eq=False)
class Job:
    """One run that is to be made: what it learns, from what, and where it stands."""

    settings: Settings
    data: TaskData
    backbone: Backbone
    device: torch.device

    @property
    def run_id(self) -> str:
        """Identity of the run, as runs.csv lists it."""
        return self.settings.run_id(self.data.sha256, self.backbone.sha256)

    @property
    def name(self) -> str:
        """Its key, for people."""
        return f"{self.settings.task}, {self.settings.model}-{self.settings.variant}, seed {self.settings.seed}"

    @cached_property
    def train(self) -> Split:
        """The training rows it learns from, none of which stands in the test set too.

        Raises InputError if there are too few, or a class is not among them.
        """
        task, wanted = self.settings.task, self.settings.train_rows
        rows = self.data.learnable
        if wanted == "all":
            return rows
        if wanted > len(rows):
            raise InputError(f"{task}: found {len(rows)} training rows, expected {wanted}; --train-rows all takes all")
        taken = take_rows(rows, wanted, self.settings.seed)
        check_classes(taken, self.data.task, f"{task}, {wanted} of {len(rows)} training rows")
        return taken

    @cached_property
    def selection(self) -> Split:
        """The dev rows that choose the best epoch: at most half of those that do not stand in the test set too."""
        return self._dev_halves[0]

    @cached_property
    def calibration(self) -> Split:
        """The dev rows that thresholds are chosen on; none of them chose anything in training."""
        return self._dev_halves[1]

    @cached_property
    def _dev_halves(self) -> tuple[Split, Split]:
        s, parts = self.settings, halves(self.data.held_out, DEV_SEED)
        rows = s.selection_rows, s.calibration_rows
        return tuple(part.take(np.arange(min(n, len(part)))) for part, n in zip(parts, rows, strict=True))

    @property
    def learnt_from(self) -> dict[str, str | int]:
        """The columns of runs.csv in which runs that are averaged over seeds must agree."""
        return {
            "backbone_sha256": self.backbone.sha256,
            "data_sha256": self.data.sha256,
            "train_rows": len(self.train),
            "precision": self.settings.precision,
            "hyperparameters": json.dumps(self.settings.hyperparameters, sort_keys=True),
        }

    @property
    def folder(self) -> Path:
        """Where its checkpoints and its model live."""
        return runs_folder() / self.run_id

    @property
    def fine_tuning_folder(self) -> Path:
        """Where the first stage lives, which several runs may have in common."""
        return runs_folder() / f"fine-tuning-{self.settings.fine_tuning_id(self.data.sha256, self.backbone.sha256)}"


def is_done(job: Job, results_dir: Path, replace: bool) -> bool:
    """Whether the run stands in `results_dir` already.

    Raises InputError if its key is held by another run, or its other seeds learnt from something else (no average
    would be of both), and `replace` does not say that it may go.
    """
    if not store.table_path(results_dir, "runs").is_file():
        return False
    table, runs, s = store.table_path(results_dir, "runs"), store.read_table(results_dir, "runs"), job.settings
    held = runs[(runs.task == s.task) & (runs.model == s.model) & (runs.variant == s.variant) & (runs.seed == s.seed)]
    if job.run_id in set(held["run_id"]):
        return store.trace_path(results_dir, s.task, s.model, s.variant, s.seed, "test").is_file()
    if not replace:
        if not held.empty:
            holder = held.iloc[0]["run_id"]
            raise InputError(f"{table}: {job.name} is held by run {holder}, this is {job.run_id}; --replace lets it go")
        key = {"task": s.task, "model": s.model, "variant": s.variant, "seed": s.seed}
        check_seeds(pd.concat([runs.astype(object), pd.DataFrame([key | job.learnt_from])]), table)
    return False


def estimated_minutes(job: Job) -> float:
    """Minutes that a run will take, roughly: its multiply-accumulates over the rate of this machine's matrix product.

    A training step counts three passes, the backward pass twice a forward one; a DistilBERT counts by its depth.
    Self-distillation is one pass, whose states the epochs then share. What runs have in common, the first stage and
    the soft labels, is counted for each.
    """
    s, classes = job.settings, len(job.data.task.classes)
    sample = take_rows(job.train, min(256, len(job.train)), s.seed)
    tokens = encode(load_tokenizer(job.backbone.source), sample.texts, sample.pairs, s.max_tokens).lengths
    shape = read_shape(job.backbone.source)
    once = float(dense_true_macs(shape, tokens, classes).mean())  # of a sample through all layers
    passes = 3 * s.fine_tuning_epochs * len(job.train) + len(job.data.test)
    if s.model == "fastbert" and s.variant != "labels":
        passes += (1 + STUDENTS * s.distillation_epochs) * len(job.train)
    if s.model == "distilbert":
        share = distilbert_layers(s.variant) / shape.layers
        passes = len(job.train) + share * passes
    return once * passes / (EFFICIENCY * _macs_per_second(job.device, s.precision)) / 60


@cache
def _macs_per_second(device: torch.device, precision: str) -> float:
    dtype = torch.bfloat16 if precision == "bf16" else torch.float32
    left, right = torch.randn(2048, 768, device=device, dtype=dtype), torch.randn(768, 3072, device=device, dtype=dtype)
    seconds = []
    for _ in range(6):  # the quickest: whatever else runs must not count
        start = time.perf_counter()
        (left @ right)[0, 0].item()
        seconds.append(time.perf_counter() - start)
    return 2048 * 768 * 3072 / min(seconds)
