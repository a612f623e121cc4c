"""Tiers of the gate that train: a task from nothing, in a folder of its own, by the command that a user would type."""

import json
import os
import re
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from reproductions.checkout import ROOT
from reproductions.claims import Finding, Numbers, held, same_files
from reproductions.names import RUNS
from reproductions.store import RECORD
from reproductions.tables import read_or_empty, read_table

# What claims are about, and what runs.csv holds of when and how a run was made.
TABLES, MEASURES = ("table2", "table3"), ("accuracy", "mean_layers", "mflops")
BASELINE, TEACHER = "logistic regression on the frozen encoder: accuracy", re.compile("BERT, .*: accuracy")
OF_THE_MOMENT = ["date", "command", "wall_seconds"]


@dataclass(frozen=True)
class Training:
    """What a tier trains: with which settings, and how many times side by side, one thread each where it is several."""

    profile: str
    settings: tuple[str, ...]
    times: int


TRAINED = {
    "live": Training("smoke", ("--seed", "7", "--precision", "fp32"), 2),
    "real": Training("packaged", ("--seed", "7"), 1),
}


def trained(tier: str, task: str) -> tuple[Numbers, list[Finding]]:
    """Run `task` from nothing as TRAINED says; what the first run measured, and whether others made the same files."""
    training = TRAINED[tier]
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / str(number) for number in range(1, training.times + 1)]
        with ThreadPoolExecutor(len(folders)) as pool:
            findings = list(pool.map(partial(_run, tier, task), folders))
        first, *others = (folder / "results" / training.profile for folder in folders)
        numbers = trained_numbers(tier, first, task)
        findings.append(above_baseline(tier, task, numbers))
        return numbers, findings + [found for other in others for found in repeated(first, other, task)]


def _run(tier: str, task: str, folder: Path) -> Finding:
    """The command that a user would type, alone in `folder`."""
    training = TRAINED[tier]
    words = ["run", task, "--profile", training.profile, *training.settings, "--results-dir", str(folder / "results")]
    paths = [str(ROOT), os.environ.get("PYTHONPATH", "")]
    variables = {RUNS: str(folder / "runs"), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    variables |= {"OMP_NUM_THREADS": "1"} if training.times > 1 else {}
    folder.mkdir()
    command = [sys.executable, "-m", "reproductions", *words]
    run = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True)
    last = (run.stderr.strip().splitlines() or [""])[-1]
    found = f"exit code {run.returncode}" + (f", {last}" if run.returncode else "")
    return held((tier, task, training.profile), f"run {folder.name}", "exit code 0", found)


def trained_numbers(tier: str, folder: Path, task: str) -> Numbers:
    """The measures of a task in tables 2 and 3, and its baseline's accuracy; none of a missing table."""
    *tables, runs = (read_or_empty(folder, name) for name in (*TABLES, "runs"))
    numbers = {
        f"{row.model}, {row.setting}: {measure}": str(getattr(row, measure))
        for table in tables
        for row in table[table["task"] == task].itertuples()
        for measure in MEASURES
    }
    baselines = runs.loc[runs["task"] == task, "baseline_accuracy"].dropna()
    numbers |= {BASELINE: str(baselines.max())} if len(baselines) else {}
    return {(tier, task, TRAINED[tier].profile, metric): number for metric, number in numbers.items()}


def above_baseline(tier: str, task: str, numbers: Numbers) -> Finding:
    """Whether the teacher is right more often than the baseline, by their `trained_numbers`.

    No row of expected.csv, so that no update lets a teacher pass that is not worth its training.
    """
    teacher = [number for (*_, metric), number in numbers.items() if TEACHER.fullmatch(metric)]
    baseline = [number for (*_, metric), number in numbers.items() if metric == BASELINE]
    above = bool(teacher and baseline) and float(teacher[0]) > float(baseline[0])
    found = "above it" if above else " beside ".join((*teacher, *baseline)) or "neither"
    return held((tier, task, TRAINED[tier].profile), "BERT's accuracy, beside the baseline's", "above it", found)


def repeated(first: Path, second: Path, task: str) -> list[Finding]:
    """A finding for each file of two results folders, the same in both; what runs say of the moment is removed."""
    sides = (first, second)
    for side in sides:
        for path in side.glob("runs.csv"):
            read_table(side, "runs").drop(columns=OF_THE_MOMENT).to_csv(path, index=False)
        for path in side.glob(f"traces/*/*/{RECORD}"):
            record = json.loads(path.read_text(encoding="utf-8"))
            path.write_text(json.dumps({name: record[name] for name in record if name not in OF_THE_MOMENT}))
    names = {path.relative_to(side) for side in sides for path in side.rglob("[!.]*") if path.is_file()}
    place = ("live", task, TRAINED["live"].profile)
    return [same_files(place, name, *(side / name for side in sides)) for name in sorted(map(str, names))]
