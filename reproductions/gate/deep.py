"""The deep tier: a task trained and traced again from scratch, its committed rows of table 2 compared by interval."""

import dataclasses
import json
from collections.abc import Iterator
from decimal import Decimal
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
import torch

from fastbert_core.backbones import Backbone
from fastbert_core.data import TaskData
from fastbert_core.errors import InputError
from fastbert_core.metrics import at_speed, dense
from fastbert_core.tasks import get_task
from fastbert_core.trace import Trace
from reproductions.averaged import Averaged
from reproductions.gate.finding import Finding, Place, identical, measured
from reproductions.job import Job
from reproductions.provenance import git_state
from reproductions.results import load_traces, read_table, table_path
from reproductions.run import Log, run
from reproductions.settings import Settings, settings_for
from reproductions.sources import Named, load_data, load_encoder, runs_in, settle_profile
from reproductions.statistics import Interval, bootstrap_mean, difference_of_proportions
from reproductions.table2 import PAPER_SPEEDS

DEFAULT = {"model": "fastbert", "variant": "default"}


def retrained(
    task: str, results_dir: Path, profile: str, named: Named, device: torch.device, folder: Path, log: Log
) -> list[Finding]:
    """Train `task` again in `folder`, once for each seed behind its committed rows, and compare.

    A folder in which that was begun is gone on with; if by other code, that is a finding. Raises InputError if there
    are no committed rows, or data and encoder at hand are not those behind them.
    """
    committed, again = results_dir / profile, folder / "results" / profile
    runs = read_table(committed, "runs")
    runs = runs[(runs["task"] == task) & (runs["model"] == DEFAULT["model"]) & (runs["variant"] == DEFAULT["variant"])]
    if runs.empty:
        raise InputError(f"{table_path(committed, 'runs')}: found no run of {task}, expected one to compare with")
    if settle_profile(profile, named) != profile:
        raise InputError(f"profile {profile}: found neither data nor encoder named nor the hub, expected one of them")
    with runs_in(folder / "runs"):
        data = load_data(profile, get_task(task), named)
        backbone = load_encoder(profile, get_task(task), named, data, log)
        run([_job(row, data, backbone, device) for row in runs.itertuples()], again, False, log)
    return [*_trained_by_this_code(task, profile, again), *compared(task, profile, committed, again)]


def _trained_by_this_code(task: str, profile: str, again: Path) -> Iterator[Finding]:
    """Each run in `again` by the commit at hand, and by no other: the folder may hold what earlier code trained."""
    here = git_state()["git_sha"] or "no commit"
    for row in read_table(again, "runs").query("task == @task").itertuples():
        shas = [sha for sha in (row.git_sha, row.resumed_at) if pd.notna(sha)]
        yield identical(Place("deep", task, profile), f"run {row.run_id}: code", here, ";".join(shas) or "no commit")


def _job(row: tuple, data: TaskData, backbone: Backbone, device: torch.device) -> Job:
    """The run that `row` of runs.csv describes. Raises InputError unless it is of these data and this encoder."""
    for name, found, expected in (
        ("data", data.sha256, row.data_sha256),
        ("encoder", backbone.sha256, row.backbone_sha256),
    ):
        if found != expected:
            raise InputError(f"{row.task}, {name}: found SHA-256 {found}, expected {expected} as run {row.run_id} had")
    rows = "all" if row.train_rows == len(data.train) else int(row.train_rows)
    given = {"seed": int(row.seed), "train_rows": rows}
    settings = settings_for(row.profile, data.task, row.model, row.variant, row.precision, **given)
    known, said = Settings.__dataclass_fields__, json.loads(row.hyperparameters)
    if foreign := sorted(said.keys() - known.keys()):
        raise InputError(f"run {row.run_id}: found hyperparameters {', '.join(foreign)}, expected those of Settings")
    return Job(dataclasses.replace(settings, **said), data, backbone, device)


def compared(task: str, profile: str, committed: Path, again: Path) -> Iterator[Finding]:
    """BERT's and FastBERT's rows of table 2 in two results folders: accuracy and mean layers of each, by interval.

    Raises InputError if either folder has no test trace of the task.
    """
    place, folders = Place("deep", task, profile), (committed, again)
    traces = [_traces(folder, task) for folder in folders]
    tables = [read_table(folder, "table2").set_index(["task", "model", "setting"]) for folder in folders]
    depth = traces[0][0].metadata["layers"][-1]
    uses = {("BERT", f"{depth} layers"): dense}
    uses |= {("FastBERT", f"speed={speed:g}"): partial(at_speed, speed=speed) for speed in PAPER_SPEEDS}
    for (model, setting), use in uses.items():
        if (task, model, setting) not in tables[0].index:
            yield identical(place, f"{model}, {setting}", "a committed row", "none")
            continue
        old, new = (table.loc[(task, model, setting)] for table in tables)
        interval = difference_of_proportions(new.accuracy / 100, new.test_rows, old.accuracy / 100, old.test_rows)
        reach = _reach(new.accuracy - old.accuracy, 100 * interval.low, 100 * interval.high)
        yield _held(place, f"{model}, {setting}: accuracy", old.accuracy, new.accuracy, reach)
        # Executed layers of each sample, float [samples]: the mean over seeds.
        again, before = (np.mean([o.exit_layer for o in Averaged(side, use).outcomes], axis=0) for side in traces[::-1])
        reach = _reach(again.mean() - before.mean(), *difference_of_means(again, before))
        yield _held(place, f"{model}, {setting}: mean_layers", old.mean_layers, new.mean_layers, reach)


def _traces(results_dir: Path, task: str) -> list[Trace]:
    traces = load_traces(results_dir, read_table(results_dir, "runs"), task=task, split="test", epoch=None, **DEFAULT)
    if not traces:
        raise InputError(f"{results_dir}: found no test trace of {task}, expected one to compare with")
    return sorted(traces, key=lambda trace: trace.metadata["seed"])


def difference_of_means(first: np.ndarray, second: np.ndarray) -> Interval:
    """Interval of mean(first) - mean(second) over independent samples, from the bootstrap interval of each.

    Their ends are combined as Newcombe's (1998) are for proportions.
    """
    (low, high), (second_low, second_high) = bootstrap_mean(first), bootstrap_mean(second)
    difference = first.mean() - second.mean()
    below = np.hypot(first.mean() - low, second_high - second.mean())
    above = np.hypot(high - first.mean(), second.mean() - second_low)
    return Interval(float(difference - below), float(difference + above))


def _reach(difference: float, low: float, high: float) -> float:
    """How far the interval [low, high] of `difference` reaches towards 0."""
    return difference - low if difference >= 0 else high - difference


def _held(place: Place, metric: str, expected: float, found: float, reach: float) -> Finding:
    return measured(place, metric, *(Decimal(str(round(float(n), 3))) for n in (expected, found, reach)))
