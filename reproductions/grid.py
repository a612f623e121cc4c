"""`grid`: what makes texts leave late, apart: how classifiers start, AdamW's correction, students' epochs and rate."""

import dataclasses
import itertools
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.metrics import at_speed
from fastbert_core.task_types import SINGLE
from fastbert_core.trace import Trace
from reproductions.calibration import confidence
from reproductions.execute import calibrated
from reproductions.grid_effects import AXES, SPEEDS, written
from reproductions.lock import locked
from reproductions.plan import Log, Run
from reproductions.tables import read_or_empty, read_table, write_table


def variants(run: Run) -> Iterator[Run]:
    """The run with each combination of AXES, today's first, its students trained for so many epochs and no more."""
    for values in itertools.product(*(values[::-1] for values in AXES.values())):
        chosen = dict(zip(AXES, values, strict=True))
        yield dataclasses.replace(run, settings=dataclasses.replace(run.settings, until_flat=False, **chosen))


def grid(run: Run, results_dir: Path, log: Log) -> pd.DataFrame:
    """Train the variants of `run` that grid.csv has no rows of, judge them by dev, and put each into it as it is done.

    Returns the rows of all of them. No test row is looked at, so that settings can be chosen by what they say.
    Raises InputError for a task whose texts do not have one label each.
    """
    if (kind := run.data.task.type) != SINGLE.name:
        raise InputError(f"{run.settings.task}: found a task that is {kind}, expected one that is {SINGLE.name}")
    wanted = list(variants(run))
    for number, variant in enumerate(wanted, 1):
        if variant.run_id in set(read_or_empty(results_dir, "grid")["variant"]):
            log(f"{variant.run_id}: done")
            continue
        rows = pd.DataFrame(_rows(variant, *calibrated(variant, lambda line: None)))
        with locked(results_dir, log):  # other grids may have written meanwhile
            held = read_or_empty(results_dir, "grid")
            held = held[held["variant"] != variant.run_id]
            write_table(results_dir, "grid", pd.concat([held, rows]) if len(held) else rows)
        first = rows.iloc[0]
        said = ", ".join(f"{name} {getattr(variant.settings, name)}" for name in AXES)
        log(
            f"{number} of {len(wanted)}: {said}: teacher {first['teacher']:.2f}, layer 1 {first['first_exit']:.2f}, "
            f"speed {first['speed']:g} {first['accuracy']:.2f} at {first['mean_layers']:.2f} layers"
        )
    rows = read_table(results_dir, "grid")
    return rows[rows["variant"].isin([variant.run_id for variant in wanted])]


def _rows(run: Run, record: dict, trace: Trace) -> Iterator[dict]:
    s, right = run.settings, 100 * trace.correct.mean(axis=0)
    common = {name: written(getattr(s, name)) for name in AXES} | {
        "task": s.task,
        "backbone": run.backbone.name,
        "train_rows": len(run.train),
        "seed": s.seed,
        "fine_tuning_epochs": s.fine_tuning_epochs,
        "fine_tuning_rate": s.fine_tuning_rate,
        "judged": len(trace),
        "teacher": right[-1],
        "classes_answered": len(np.unique(trace.predictions[:, -1])),
        "confidence": confidence(trace),
        "first_exit": right[0],
        "precision": s.precision,
        **{name: record[name] for name in ("device", "git_sha", "git_dirty", "resumed_at")},
        "variant": run.run_id,
    }
    for speed in SPEEDS:
        found = at_speed(trace, speed)
        yield common | {"speed": speed, "accuracy": found.accuracy, "mean_layers": found.mean_layers}
