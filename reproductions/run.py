"""`run`: train, trace and measure tasks, resuming what was begun and skipping what is done."""

from collections.abc import Callable, Sequence
from itertools import groupby
from pathlib import Path

import torch

from fastbert_core.backbones import read_shape
from fastbert_core.errors import InputError
from fastbert_core.files import writing
from fastbert_core.tasks import Task
from fastbert_core.trace import Trace, save_trace
from reproductions import results
from reproductions.job import Job, is_done
from reproductions.lock import locked
from reproductions.measure import measure
from reproductions.provenance import RunRecord
from reproductions.settings import distilbert_layers, planned_runs, settings_for
from reproductions.sources import Named, load_data, load_encoder
from reproductions.stations import Stations
from reproductions.sums import record_sums

Log = Callable[[str], None]


def plan(
    tasks: Sequence[Task], profile: str, named: Named, device: torch.device, precision: str, log: Log, **given: object
) -> list[Job]:
    """The runs that the tasks want in a profile; data and encoder of a task are loaded once for all of them.

    `given`: seed and train_rows, None where settings.toml decides. A DistilBERT whose layers cannot be taken from the
    encoder's blocks, or would be all of them, is left out. Raises InputError for an encoder of a single layer, which
    has no students, and for training rows that are not to be had.
    """
    jobs = []
    for task in tasks:
        data = load_data(profile, task, named)
        backbone = load_encoder(profile, task, named, data, log)
        log(f"{task.name}: {len(data.train)} / {len(data.dev)} / {len(data.test)} rows, {data.source}; {backbone.name}")
        depth = read_shape(backbone.source).layers
        if depth < 2:
            raise InputError(f"{backbone.source}: found an encoder of one layer, expected two or more")
        for model, variant in planned_runs(profile, task):
            if model == "distilbert" and not _is_student(distilbert_layers(variant), depth):
                log(f"{task.name}: {model}-{variant} left out, the encoder has {depth} layers")
                continue
            settings = settings_for(profile, task, model, variant, precision, **given)
            jobs.append(Job(settings, data, backbone, device))
            _ = jobs[-1].train  # what is wrong with it shows before anything is trained
    return jobs


def _is_student(layers: int, depth: int) -> bool:
    return layers < depth and depth % layers == 0


def run(jobs: Sequence[Job], results_dir: Path, replace: bool, log: Log, questions: Path | None = None) -> None:
    """Make the runs that `results_dir` does not hold yet, and measure again after each task's last.

    All keys are looked at before anything is trained. Raises InputError if one is held by another run, or other seeds
    of it learnt from something else, and `replace` does not say that it may go. While another process works on
    `results_dir`, waits. `questions`: as `measure` takes it.
    """
    results_dir.mkdir(parents=True, exist_ok=True)
    with locked(results_dir, log):
        todo = [job for job in jobs if not is_done(job, results_dir, replace)]
        for job in jobs:
            if job not in todo:
                log(f"{job.name}: run {job.run_id} stands in {results_dir} already, skipped")
        for task, mine in groupby(todo, key=lambda job: job.settings.task):
            for job in mine:
                log(f"{job.name}: run {job.run_id}")
                execute(job, results_dir, log)
            log(f"{task}: measuring")
            measure(results_dir, questions)
        if not todo:  # the last run may have been killed before it was measured
            measure(results_dir, questions)


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
        with writing(job.folder / "model"):
            model.save_pretrained(job.folder / "model")
            stations.tokenizer.save_pretrained(job.folder / "model")
        _publish(job, traces, record.columns(stations.first_record), results_dir)


def _publish(job: Job, traces: list[Trace], record: dict, results_dir: Path) -> None:
    """Put the run in the place of whatever held its key.

    In this order, the test trace gone first and come last, a kill leaves at no point a trace that no row vouches for,
    nor a run that `is_done` takes for whole although a trace of it or the hash of one is missing.
    """
    s, data = job.settings, job.data
    held = results.find_traces(results_dir, task=s.task, model=s.model, variant=s.variant, seed=s.seed)
    for path in sorted(held, key=lambda path: results.trace_key(path).split != "test"):
        path.unlink()
    row = {
        "run_id": job.run_id,
        "task": s.task,
        "model": s.model,
        "variant": s.variant,
        "seed": s.seed,
        "profile": s.profile,
        "backbone": job.backbone.name,
        "data_source": data.source,
        "dev_rows": min(s.dev_rows, len(data.dev)),
        "test_rows": len(data.test),
        "precision": s.precision,
        **job.learnt_from,
    }
    results.record_run(results_dir, row | record)
    placed = {}
    for trace in sorted(traces, key=lambda trace: trace.metadata["split"] == "test"):
        m = trace.metadata
        path = results.trace_path(results_dir, s.task, s.model, s.variant, s.seed, m["split"], m.get("epoch"))
        placed[path] = trace
    record_sums(results_dir, placed)
    for path, trace in placed.items():
        save_trace(trace, path)
