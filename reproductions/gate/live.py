"""The live tier: the smoke profile trained for real, twice, by the command that a user would type."""

import os
import subprocess
import sys
import tempfile
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import reproductions
from reproductions.gate.expectations import Numbers
from reproductions.gate.finding import Finding, Place, identical
from reproductions.gate.same import same_bytes, same_files
from reproductions.sources import RUNS
from reproductions.store import read_table, table_path

PROFILE, SETTINGS = "smoke", ("--seed", "7", "--precision", "fp32")
OF_THE_MOMENT = ["date", "command", "wall_seconds"]  # what runs.csv holds of when and how a run was made
TABLES, MEASURES = ("table2", "table3"), ("accuracy", "mean_layers", "mflops")


def train_twice(task: str) -> tuple[Numbers, list[Finding]]:
    """Run `task` twice from nothing; what the first run measured, and whether the second did the same to the bit."""
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / name for name in ("first", "second")]
        with ThreadPoolExecutor(len(folders)) as pool:
            findings = list(pool.map(_run, [task] * len(folders), folders))
        first, second = (folder / "results" / PROFILE for folder in folders)
        return measures(first, task), findings + repeated(first, second, task)


def _run(task: str, folder: Path) -> Finding:
    """Run `task` with fresh folders below `folder`, on one thread: two such runs share two cores without waiting."""
    words = ["run", task, "--profile", PROFILE, *SETTINGS, "--results-dir", str(folder / "results")]
    paths = [str(Path(reproductions.__file__).parents[1]), os.environ.get("PYTHONPATH")]
    environment = os.environ | {
        RUNS: str(folder / "runs"),
        "OMP_NUM_THREADS": "1",
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
    }
    folder.mkdir()
    # In a folder of its own, where no results of the user's can stand beside it.
    run = subprocess.run(
        [sys.executable, "-m", "reproductions", *words], cwd=folder, env=environment, capture_output=True, text=True
    )
    last = (run.stderr.strip().splitlines() or [""])[-1]
    found = f"exit code {run.returncode}" + (f", {last}" if run.returncode else "")
    return identical(Place("live", task, PROFILE), f"{folder.name} run", "exit code 0", found)


def measures(results_dir: Path, task: str) -> Numbers:
    """The measures of a task in tables 2 and 3, each by its key among the expectations; none of a missing table."""
    tables = [read_table(results_dir, name) for name in TABLES if table_path(results_dir, name).is_file()]
    return {
        ("live", task, PROFILE, f"{row.model}, {row.setting}: {measure}"): Decimal(str(getattr(row, measure)))
        for table in tables
        for row in table[table["task"] == task].itertuples()
        for measure in MEASURES
    }


def repeated(first: Path, second: Path, task: str) -> list[Finding]:
    """Whether two results folders hold the same files with the same bytes: a finding for each that either holds."""
    place = Place("live", task, PROFILE)
    folders = (first, second)
    names = {path.relative_to(folder) for folder in folders for path in folder.rglob("[!.]*") if path.is_file()}
    findings = []
    for name in sorted(map(str, names)):
        paths = [folder / name for folder in folders]
        if name == "runs.csv" and all(path.is_file() for path in paths):
            tables = [read_table(folder, "runs").drop(columns=OF_THE_MOMENT) for folder in folders]
            findings.append(same_bytes(place, name, *(table.to_csv(index=False).encode() for table in tables)))
        else:
            findings.append(same_files(place, name, *paths))
    return findings
