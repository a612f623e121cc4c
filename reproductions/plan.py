"""What is to be run: the runs that tasks want, what each learns and from what, and which are done already."""

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fastbert_core.data import Split, TaskData, check_classes, halves, take_rows
from fastbert_core.encoder_folder import Backbone, check_encoder
from fastbert_core.errors import InputError
from fastbert_core.task_types import SINGLE
from fastbert_core.tasks import Task
from reproductions.seeds import KEY, check_seeds
from reproductions.settings import (
    Settings,
    most_rows,
    of_task_file,
    planned_trainings,
    settings_for,
    shallow_layers,
)
from reproductions.sources import Named, load_data, load_encoder, runs_folder
from reproductions.store import StoredRun, run_folder, runs_table

Log = Callable[[str], None]
# How dev is divided: the same for every seed, so that their traces can be averaged.
DEV_SEED = 7


@dataclass(frozen=True, eq=False)
class Run:
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
        return f"{self.settings.task}, {self.settings.training}, seed {self.settings.seed}"

    @cached_property
    def train(self) -> Split:
        """The training rows it learns from, none of which stands in the test set too.

        Raises InputError if there are too few, or a class is not among them.
        """
        task, wanted = self.settings.task, self.settings.train_rows
        rows = self.data.learnable
        if not len(rows):
            raise InputError(f"{task}: found no training row whose text is not in the test set too, expected some")
        if wanted != "all" and wanted > len(rows):
            raise InputError(f"{task}: found {len(rows)} training rows, expected {wanted}; --train-rows all takes all")
        taken = rows if wanted == "all" else take_rows(rows, wanted, self.settings.seed)
        check_classes(taken, self.data.task, f"{task}, {len(taken)} of {len(self.data.train)} training rows")
        return taken

    @cached_property
    def selection(self) -> Split:
        """The dev rows that choose the best epoch: at most half of those in neither train nor test set.

        Raises InputError if there are fewer than four of those: of a single row no half says anything.
        """
        return self._dev_halves[0]

    @cached_property
    def calibration(self) -> Split:
        """The dev rows that thresholds are chosen on; none of them chose anything in training."""
        return self._dev_halves[1]

    @cached_property
    def _dev_halves(self) -> tuple[Split, Split]:
        s, rows = self.settings, self.data.held_out
        if len(rows) < 4:
            raise InputError(f"{s.task}: found {len(rows)} dev rows beside train and test, expected four or more")
        parts = halves(rows, DEV_SEED)
        most = s.selection_rows, s.calibration_rows
        return tuple(part.take(np.arange(min(n, len(part)))) for part, n in zip(parts, most, strict=True))

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
    def first_folder(self) -> Path:
        """Where the first stage lives, which several runs may have in common."""
        first = self.settings.first_id(self.data.sha256, self.backbone.sha256)
        return runs_folder() / f"{self.settings.first.name}-{first}"

    @property
    def key(self) -> dict[str, str | int]:
        """What it is called by, in files and tables: a results folder holds one run of a key."""
        s = self.settings
        return {"task": s.task, "backbone": self.backbone.name, "training": s.training, "seed": s.seed}


def plan(
    tasks: Sequence[Task],
    profile: str,
    named: Named,
    device: torch.device,
    precision: str,
    log: Log,
    trainings: Sequence[str] | None = None,
    **given: object,
) -> list[Run]:
    """The runs that the tasks want in a profile; data and encoder of a task are loaded once for all of them.

    `trainings` takes the place of those that settings.toml has for a task. `given`: seed and train_rows, None where the
    task file or settings.toml decides. A shallow model whose layers cannot be taken from the encoder's blocks, or would
    be all of them, is left out where `trainings` does not name it. Raises InputError where it does, for an encoder
    that `check_encoder` refuses, of a single layer, which has no students, or for shorter texts, and for training rows
    that are not there.
    """
    runs, file = [], named.task_file
    given = {name: value for name, value in given.items() if value is not None}
    given = ({} if file is None else of_task_file(file.settings)) | given
    for task in tasks:
        data = load_data(profile, task, named, log)
        backbone = load_encoder(profile, task, named, data, log)
        log(f"{task.name}: {len(data.train)} / {len(data.dev)} / {len(data.test)} rows, {data.source}; {backbone.name}")
        if left_out := len(data.train) - len(data.learnable):
            log(f"{task.name}: {left_out} training rows left out, their texts stand in the test set too")
        if left_out := len(data.dev) - len(data.held_out):
            log(f"{task.name}: {left_out} dev rows left out, their texts stand in other rows too")
        shape = check_encoder(backbone.source, task.pair)
        train_rows = given.get("train_rows") or most_rows(profile, task, len(data.learnable))
        for training in trainings or planned_trainings(profile, task):
            if (layers := shallow_layers(training)) and (layers >= shape.layers or shape.layers % layers):
                if trainings:
                    fitting = ", ".join(str(n) for n in range(1, shape.layers) if shape.layers % n == 0)
                    found = f"{task.name}: found {training} of an encoder of {shape.layers} layers"
                    raise InputError(f"{found}, expected one with {fitting} of them")
                log(f"{task.name}: {training} left out, the encoder has {shape.layers} layers")
                continue
            if layers and task.type != SINGLE.name:
                found = f"{training}, which makes a shallow model"
                raise InputError(f"{task.name}: found {found}, expected one with exits, as the task is {task.type}")
            chosen = given | {"train_rows": train_rows}
            settings = settings_for(profile, task, training, precision, shape.hidden, **chosen)
            if shape.max_tokens < settings.max_tokens:
                found = f"{backbone.source}: found an encoder for {shape.max_tokens} tokens"
                raise InputError(f"{found}, expected one for {settings.max_tokens} or more")
            runs.append(Run(settings, data, backbone, device))
            # What is wrong with its rows, or no name for its folder, shows before anything is trained.
            _ = runs[-1].train, runs[-1].selection, run_folder(Path(), runs[-1].key)
    return runs


def is_done(run: Run, stored: Sequence[StoredRun], replace: bool) -> bool:
    """Whether the run is among those that are stored already.

    Raises InputError if its key is held by another run, or its other seeds learnt from something else (no average
    would be of both), and `replace` does not say that it may go.
    """
    holder = next((other for other in stored if all(other.row[name] == run.key[name] for name in KEY)), None)
    if holder is not None and holder.row["run_id"] == run.run_id:
        return True
    if not replace and holder is not None:
        other = ", ".join(name for name, value in run.learnt_from.items() if str(holder.row[name]) != str(value))
        found = f"{run.name} is held by run {holder.row['run_id']}" + f" of other {other}" * bool(other)
        raise InputError(f"{holder.folder}: {found}, this is {run.run_id}; --replace lets it go")
    if not replace and stored:
        table = pd.concat([runs_table(stored).astype(object), pd.DataFrame([run.key | run.learnt_from])])
        check_seeds(table, stored[0].folder.parents[2])
    return False
