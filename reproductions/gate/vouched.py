"""The exact tier's provenance: every number names its run, every run its code, every trace is as published."""

import csv
from collections.abc import Iterator
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import sha256
from reproductions.gate.finding import Finding, Place, identical
from reproductions.store import read_table, table_path, trace_path
from reproductions.sums import read_sums, sums_path


def provenance(results_dir: Path, profile: str) -> Iterator[Finding]:
    """A finding for each run, each table's run_ids, and each trace of `results_dir`/`profile`."""
    place, folder = Place("exact", "", profile), results_dir / profile
    for name, check in (("runs.csv", _runs), ("SHA256SUMS", _traces)):
        try:
            yield from check(place, folder)
        except InputError as error:
            yield identical(place, name, "in order", str(error))


def _runs(place: Place, folder: Path) -> Iterator[Finding]:
    runs = read_table(folder, "runs")
    for run in runs.itertuples():
        own = place._replace(task=run.task)
        yield identical(own, f"run {run.run_id}, code", "a commit", _code(run))
        trace = trace_path(folder, run.task, run.model, run.variant, run.seed, "test")
        yield identical(own, f"run {run.run_id}, test trace", "a file", "a file" if trace.is_file() else "no file")
    listed = set(runs["run_id"])
    for path in sorted(folder.glob("*.csv")):
        unknown = _run_ids(path) - listed
        found = f"{', '.join(sorted(unknown))} not among them" if unknown else "all in runs.csv"
        yield identical(place, f"{path.name}, run_id", "all in runs.csv", found)
    if table_path(folder, "padding").is_file():
        for row in read_table(folder, "padding").drop_duplicates("task").itertuples():
            if known := set(runs.loc[runs["task"] == row.task, "data_sha256"]):
                yield identical(place._replace(task=row.task), "padding.csv, data", ";".join(known), row.data_sha256)


def _run_ids(table: Path) -> set[str]:
    """Every run that a table names; its other columns are compared elsewhere."""
    with open(table, encoding="utf-8", errors="backslashreplace", newline="") as file:
        try:
            cells = [row["run_id"] or "" for row in csv.DictReader(file) if "run_id" in row]
        except csv.Error as error:
            raise InputError(f"{table}: found {error}, expected a CSV") from None
    return {run for cell in cells for run in cell.split(";")}


def _code(run: tuple) -> str:
    if not run.git_sha or not run.git_dirty:
        return "no commit"
    return "a commit" if run.git_dirty == "no" else f"{run.git_sha} and changes to it"


def _traces(place: Place, folder: Path) -> Iterator[Finding]:
    listed, traces = read_sums(folder), sums_path(folder).parent
    paths = {path.relative_to(traces).as_posix(): path for path in traces.rglob("[!.]*") if path.is_file()}
    paths.pop(sums_path(folder).name, None)
    for name in sorted(listed.keys() | paths.keys()):
        found = sha256(paths[name]) if name in paths else "no file"
        yield identical(place, f"traces/{name}", listed.get(name, "not in SHA256SUMS"), found)
