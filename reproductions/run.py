"""`run`: train, trace and measure tasks, resuming what was begun and skipping what is done."""

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import torch

from fastbert_core.encoder_folder import check_encoder, read_shape
from fastbert_core.errors import InputError
from fastbert_core.files import atomic_files
from fastbert_core.tasks import Task
from reproductions.doubts import doubts
from reproductions.job import Job, is_done
from reproductions.lock import locked
from reproductions.measure import measure
from reproductions.provenance import RunRecord
from reproductions.publish import publish
from reproductions.settings import distilbert_layers, most_rows, planned_runs, settings_for
from reproductions.sources import Named, load_data, load_encoder
from reproductions.stations import Stations

Log = Callable[[str], None]


def plan(
    tasks: Sequence[Task], profile: str, named: Named, device: torch.device, precision: str, log: Log, **given: object
) -> list[Job]:
    """The runs that the tasks want in a profile; data and encoder of a task are loaded once for all of them.

    `given`: seed and train_rows, None where settings.toml decides. A DistilBERT whose layers cannot be taken from the
    encoder's blocks, or would be all of them, is left out. Raises InputError for an encoder that `check_encoder`
    refuses, of a single layer, which has no students, or for shorter texts, and for training rows that are not there.
    """
    jobs = []
    for task in tasks:
        data = load_data(profile, task, named)
        backbone = load_encoder(profile, task, named, data, log)
        log(f"{task.name}: {len(data.train)} / {len(data.dev)} / {len(data.test)} rows, {data.source}; {backbone.name}")
        if left_out := len(data.train) - len(data.learnable):
            log(f"{task.name}: {left_out} training rows left out, their texts stand in the test set too")
        check_encoder(backbone.source, task.pair)
        shape = read_shape(backbone.source)
        if shape.layers < 2:
            raise InputError(f"{backbone.source}: found an encoder of one layer, expected two or more")
        train_rows = given.get("train_rows") or most_rows(profile, task, len(data.learnable))
        for model, variant in planned_runs(profile, task):
            if model == "distilbert" and not _is_student(distilbert_layers(variant), shape.layers):
                log(f"{task.name}: {model}-{variant} left out, the encoder has {shape.layers} layers")
                continue
            chosen = given | {"train_rows": train_rows}
            settings = settings_for(profile, task, model, variant, precision, shape.hidden, **chosen)
            if shape.max_tokens < settings.max_tokens:
                found = f"{backbone.source}: found an encoder for {shape.max_tokens} tokens"
                raise InputError(f"{found}, expected one for {settings.max_tokens} or more")
            jobs.append(Job(settings, data, backbone, device))
            _ = jobs[-1].train  # what is wrong with it shows before anything is trained
    return jobs


def _is_student(layers: int, depth: int) -> bool:
    return layers < depth and depth % layers == 0


def run(jobs: Sequence[Job], results_dir: Path, replace: bool, log: Log) -> None:
    """Make the runs that `results_dir` does not hold yet, and measure again after each task's last.

    All keys are looked at before anything is trained. Raises InputError if one is held by another run, or other seeds
    of it learnt from something else, and `replace` does not say that it may go. While another process works on
    `results_dir`, waits.
    """
    results_dir.mkdir(parents=True, exist_ok=True)
    with locked(results_dir, log):
        todo = [job for job in jobs if not is_done(job, results_dir, replace)]
        for job in jobs:
            if job not in todo:
                log(f"{job.name}: run {job.run_id} stands in {results_dir} already, skipped")
        for task, mine in groupby(todo, key=lambda job: job.settings.task):
            for job in mine:
                log(f"{job.name}: run {job.run_id}, {len(job.train)} training rows")
                execute(job, results_dir, log)
            log(f"{task}: measuring")
            measure(results_dir)
        if not todo:  # the last run may have been killed before it was measured
            measure(results_dir)


def execute(job: Job, results_dir: Path, log: Log) -> None:
    """Train and trace one run, then put its traces and its row of runs.csv into `results_dir`.

    While another process works in the folder of the run, or of its first stage, waits: other results folders and
    other runs have them in common.
    """
    for folder in (job.folder, job.fine_tuning_folder):
        folder.mkdir(parents=True, exist_ok=True)
    with locked(job.folder, log), locked(job.fine_tuning_folder, log):
        record = RunRecord(job.folder, job.device)
        stations = Stations(job, record, log)
        model = stations.train()
        traces = stations.traces(model)
        with atomic_files(job.folder / "model") as folder:
            model.save_pretrained(folder)
            stations.tokenizer.save_pretrained(folder)
        learnt = stations.learnt()
        record_columns = record.columns(stations.first_record, job.settings.precision, list(stations.notes))
        for seed in publish(job, traces, record_columns | learnt, results_dir):
            log(f"{job.name}: seed {seed} gave way, it learnt from something else")
        for doubt in doubts(traces[0], learnt["baseline_accuracy"]):
            log(f"{job.name}: DOUBTFUL: {doubt}")
