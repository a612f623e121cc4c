"""`check`, the gate: does the suite still say what it said? Three tiers, by what they cost.

exact: seconds. FLOPs to the unit; every committed table made again from its traces, to the same bytes; each row's run
and each run's commit known; every trace as it was published.
live: minutes. The smoke profile trained twice: the same bits, and accuracy and FLOPs where expected.csv has them.
real: ten minutes, where it is asked for. Real text trained once, as the README's main job does: the same.
"""

import argparse
import contextlib
import csv
import io
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
from collections import namedtuple
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from functools import partial
from itertools import zip_longest
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import sha256, write_whole
from reproductions import budget, checkout, flops, pages, rules
from reproductions.measure import groups, measure
from reproductions.sources import RUNS
from reproductions.store import RECORD, find_runs
from reproductions.tables import read_table, write_table, write_tables

TIERS = ("exact", "live", "real")
USUAL = TIERS[:2]
COMMITTED = ("standard", "packaged")  # profiles, beside the counts of results/paper
EXPECTED = Path(__file__).parent / "expected.csv"

# What claims are about that are trained for, and what runs.csv holds of when and how a run was made.
TRAINED_TABLES, TRAINED_MEASURES = ("table2", "table3"), ("accuracy", "mean_layers", "mflops")
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

PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")  # a number without exponent or signs of grouping

# A row of expected.csv: `metric` lies within `tolerance`, which has a `reason`, of `expected`, which has a `source`;
# `updated` says why that was last changed. A row of the report: the same beside what was found.
Claim = namedtuple("Claim", "tier task profile metric expected tolerance source reason updated")
Finding = namedtuple("Finding", "tier task profile metric expected found difference allowed ok")
Numbers = dict[tuple[str, ...], str]  # what was measured, by the first four fields of its claim


def check(options: argparse.Namespace, committed: bool) -> int:
    """Run the tiers, print the summary, and return the exit code: 0 if every claim holds, 1 if one does not.

    committed: whether the results folder is the committed one, which results/paper and the pages belong to.
    Raises InputError for options that do not go together, an expected.csv that is not in order, and no results.
    """
    tiers, reason = options.tier or USUAL, " ".join((options.reason or "").split())
    if options.update != bool(reason):
        raise InputError("check: expected --update and --reason together, and words in the reason")
    claims = read_claims(EXPECTED)
    if lacking := {*tiers} - {claim.tier for claim in claims}:
        raise InputError(f"{EXPECTED}: found no claim of {', '.join(lacking)}, expected some")
    folder = options.results_dir / options.profile
    if "exact" in tiers and not folder.is_dir():
        raise InputError(f"{folder}: found no such folder, expected the results of profile {options.profile}")
    numbers, findings = {}, []
    if "exact" in tiers:
        numbers |= {("exact", "", "", name): str(number) for name, number in flops.fixed_numbers().items()}
        if committed or (options.results_dir / "paper").is_dir():
            findings += counted(options.results_dir)
        for profile in dict.fromkeys([options.profile, *(COMMITTED if committed else ())]):
            for folder in groups(options.results_dir / profile):
                findings += [*recomputed(folder), *provenance(folder)]
        findings += made_pages() if committed else []
    for tier in (tier for tier in TRAINED if tier in tiers):
        for task in dict.fromkeys(claim.task for claim in claims if claim.tier == tier):
            training = TRAINED[tier]
            again = ", twice" if training.times > 1 else ""
            print(f"{tier}: {task}, profile {training.profile}, trained{again}", flush=True)
            measured, others = trained(tier, task)
            numbers |= measured
            findings += others
    if options.update:
        claims = updated(claims, numbers, reason)
        _write(EXPECTED, Claim, claims)
    asked = [claim for claim in claims if claim.tier in tiers]
    findings[:0] = [
        held(claim[:3], claim.metric, claim.expected, numbers.get(claim[:4], ""), claim.tolerance) for claim in asked
    ]
    print(summary(sorted(findings, key=lambda finding: TIERS.index(finding.tier))))
    if options.report:
        _write(options.report, Finding, findings)
    return 0 if all(finding.ok == "yes" for finding in findings) else 1


def held(place: tuple, metric: str, expected: str, found: str, allowed: str = "") -> Finding:
    """What was found beside what was expected: a number that is at most `allowed` away, or else the same text."""
    numbers = [Decimal(text) if PLAIN.fullmatch(text) else None for text in (expected, found)]
    difference = None if None in numbers else numbers[1] - numbers[0]
    ok = difference is not None and abs(difference) <= Decimal(allowed) if allowed else expected == found
    text = "" if difference is None else f"{difference:f}"
    return Finding(*place, metric, expected, found, text, allowed or "0", "yes" if ok else "no")


def summary(findings: Sequence[Finding]) -> str:
    """How many findings of each tier are ok, and in full those that are not."""
    lines = []
    for tier in dict.fromkeys(finding.tier for finding in findings):
        ok = [finding.ok == "yes" for finding in findings if finding.tier == tier]
        lines.append(f"{tier}: {sum(ok)} of {len(ok)} as expected")
    if failed := [finding for finding in findings if finding.ok != "yes"]:
        widths = [max(map(len, column)) for column in zip(Finding._fields, *failed, strict=True)]
        rows = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (Finding._fields, *failed))
        lines += ["", *rows]
    return "\n".join(lines)


def read_claims(path: Path) -> list[Claim]:
    """The claims in the file's order. Raises InputError, naming the line, where it is not in order."""
    try:
        rows = list(csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True))
    except (OSError, ValueError, csv.Error) as error:
        raise InputError(f"{path}: found {error}, expected the gate's claims, a CSV in UTF-8") from None
    claims = {}
    for line, row in enumerate(rows or [[]], 1):
        if len(row) != len(Claim._fields) or (line == 1 and tuple(row) != Claim._fields):
            raise InputError(f"{path}, line {line}: found {','.join(row)}, expected {','.join(Claim._fields)}")
        if line > 1:
            claim = Claim(*row)
            for column, right, wanted in (
                ("tier", claim.tier in TIERS, f"one of {', '.join(TIERS)}"),
                ("expected", PLAIN.fullmatch(claim.expected), "a number"),
                ("tolerance", PLAIN.fullmatch(claim.tolerance) and claim.tolerance[0] != "-", "a number of at least 0"),
                *((column, getattr(claim, column).strip(), "a text") for column in ("metric", "source", "reason")),
                ("metric", claim[:4] not in claims, "each claim once"),
            ):
                if not right:
                    found = repr(getattr(claim, column))
                    raise InputError(f"{path}, line {line}: {column}: found {found}, expected {wanted}")
            claims[claim[:4]] = claim
    return list(claims.values())


def updated(claims: Sequence[Claim], numbers: Numbers, reason: str) -> list[Claim]:
    """The claims with what was measured in the place of what was expected, and `reason` where that differs.

    What was not measured, or is no number, stays as it is, and so goes on failing.
    """
    return [
        claim._replace(expected=found, updated=reason)
        if PLAIN.fullmatch(found := numbers.get(claim[:4], "")) and Decimal(found) != Decimal(claim.expected)
        else claim
        for claim in claims
    ]


def _write(path: Path, kind: type, rows: Iterable[tuple]) -> None:
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([kind._fields, *rows])
    write_whole(path, text.getvalue())


def counted(results_dir: Path) -> Iterator[Finding]:
    """A finding for each table of FLOPs, counted again."""
    with tempfile.TemporaryDirectory() as temporary:
        path = flops.write_paper(Path(temporary))
        yield same_files(("exact", "", ""), f"paper/{path.name}", results_dir / "paper" / path.name, path)


def recomputed(folder: Path) -> Iterator[Finding]:
    """A finding for each file of a profile's folder, made again."""
    place = ("exact", "", folder.name)
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary, folder.name)
        shutil.copytree(folder, made, ignore=shutil.ignore_patterns(".*"))
        try:
            written = measure(made)
            for name, measured in (("leaderboard", rules.measured), ("budget", budget.measured)):
                if (folder / f"{name}.csv").is_file():
                    written += write_tables(made, measured(rules.traces_of(made)))
        except InputError as error:
            yield held(place, "measured from the traces", "everything", str(error).replace(str(made), str(folder)))
            return
        names = {path.name for side in (folder, made) for path in side.glob("[!.]*") if path.is_file()}
        for name in sorted(names):
            if made / name not in written and (made / name).is_file():  # no trace gives it: it must keep its form
                table = name.removesuffix(".csv")
                try:
                    write_table(made, table, read_table(made, table))
                except KeyError:  # no table of ours
                    (made / name).unlink()
                except InputError as error:
                    yield held(place, name, "in order", str(error).replace(str(made), str(folder)))
            yield same_files(place, name, folder / name, made / name)


def made_pages() -> Iterator[Finding]:
    """A finding for each page: its generated blocks, made again."""
    for path in pages.pages():
        name = os.path.relpath(path, checkout.ROOT)
        with tempfile.TemporaryDirectory() as temporary:
            (again := Path(temporary, path.name)).write_text(pages.made(path), encoding="utf-8")
            yield same_files(("exact", "", ""), name, path, again)


def same_files(place: tuple, name: str, expected: Path, found: Path) -> Finding:
    """One finding on the file `name`: the first line, in a CSV also column, where it differs; of no text, SHA-256."""
    sides = [path.read_bytes() if path.is_file() else None for path in (expected, found)]
    if None in sides:
        return held(place, name, *("no file" if side is None else "a file" for side in sides))
    if sides[0] == sides[1]:
        return held(place, name, "same bytes", "same bytes")
    if expected.suffix not in (".csv", ".md"):
        return held(place, name, sha256(expected), sha256(found))
    lines = [side.decode("utf-8", errors="backslashreplace").split("\n") for side in sides]
    pairs = enumerate(zip_longest(*lines, fillvalue=""), 1)
    number, pair = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    if expected.suffix == ".csv":
        with contextlib.suppress(csv.Error):  # a line that is none of a CSV is shown whole
            cells = [next(csv.reader([line]), []) for line in (lines[0][0], *pair)]
            for column, *values in zip_longest(*cells, fillvalue=""):
                if values[0] != values[1]:
                    return held(place, f"{name}, line {number}, {column}", *values)
    return held(place, f"{name}, line {number}", *pair)


def provenance(folder: Path) -> Iterator[Finding]:
    """A finding for each run's commit and test trace, each trace's hash, and each table's runs and data."""
    place = ("exact", "", folder.name)
    for what, told in (("runs", _runs), ("tables", _tables)):
        try:
            yield from told(place, folder)
        except InputError as error:
            yield held(place, what, "in order", str(error))


def _runs(place: tuple, folder: Path) -> Iterator[Finding]:
    known, traces = set(), folder / "traces"
    for run in find_runs(folder):
        row, own, code = run.row, ("exact", run.row["task"], folder.name), "no commit"
        if row["git_sha"] and row["git_dirty"]:
            code = "a commit" if row["git_dirty"] == "no" else f"{row['git_sha']} and changes to it"
        yield held(own, f"run {row['run_id']}, code", "a commit", code)
        yield held(own, f"run {row['run_id']}, test trace", "a file", "a file" if "test.npz" in run.sums else "no file")
        for name, digest in run.sums.items():
            path = run.folder / name
            found = sha256(path) if path.is_file() else "no file"
            yield held(own, path.relative_to(folder).as_posix(), digest, found)
        known |= {run.folder / name for name in (RECORD, *run.sums)}
    for path in sorted(path for path in traces.rglob("[!.]*") if path.is_file() and path not in known):
        yield held(place, path.relative_to(folder).as_posix(), "a file that a run lists", "a file")


def _tables(place: tuple, folder: Path) -> Iterator[Finding]:
    runs = read_table(folder, "runs")
    data = set(zip(runs["task"], runs["data_sha256"], strict=True))
    for path in sorted(folder.glob("*.csv")):
        try:
            rows = list(csv.DictReader(io.StringIO(path.read_text("utf-8", errors="backslashreplace"), newline="")))
        except csv.Error as error:
            raise InputError(f"{path}: found {error}, expected a CSV") from None
        named = {run for row in rows if "run_id" in row for run in (row["run_id"] or "").split(";")}
        unknown = sorted(named - {*runs["run_id"]})
        found = f"{', '.join(unknown)} not among them" if unknown else "all in runs.csv"
        yield held(place, f"{path.name}, run_id", "all in runs.csv", found)
        of = {(row["task"], row["data_sha256"]) for row in rows if {"task", "data_sha256"} <= row.keys()}
        for task, other in sorted((task, sha) for task, sha in of - data if task in {*runs["task"]}):
            known = ";".join(sorted(sha for name, sha in data if name == task))
            yield held(("exact", task, folder.name), f"{path.name}, data_sha256", known, other)


def trained(tier: str, task: str) -> tuple[Numbers, list[Finding]]:
    """Run `task` from nothing as TRAINED says; what the first run measured, and whether others did it to the bit."""
    training = TRAINED[tier]
    with tempfile.TemporaryDirectory() as temporary:
        folders = [Path(temporary) / str(number) for number in range(1, training.times + 1)]
        with ThreadPoolExecutor(len(folders)) as pool:
            findings = list(pool.map(partial(_run, tier, task), folders))
        first, *others = (folder / "results" / training.profile for folder in folders)
        numbers = trained_numbers(tier, first, task)
        return numbers, findings + [found for other in others for found in repeated(first, other, task)]


def _run(tier: str, task: str, folder: Path) -> Finding:
    """The command that a user would type, alone in `folder`."""
    training = TRAINED[tier]
    words = ["run", task, "--profile", training.profile, *training.settings, "--results-dir", str(folder / "results")]
    paths = [str(Path(__file__).parents[1]), os.environ.get("PYTHONPATH", "")]
    variables = {RUNS: str(folder / "runs"), "PYTHONPATH": os.pathsep.join(filter(None, paths))}
    variables |= {"OMP_NUM_THREADS": "1"} if training.times > 1 else {}
    folder.mkdir()
    command = [sys.executable, "-m", "reproductions", *words]
    run = subprocess.run(command, cwd=folder, env=os.environ | variables, capture_output=True, text=True)
    last = (run.stderr.strip().splitlines() or [""])[-1]
    found = f"exit code {run.returncode}" + (f", {last}" if run.returncode else "")
    return held((tier, task, training.profile), f"run {folder.name}", "exit code 0", found)


def trained_numbers(tier: str, folder: Path, task: str) -> Numbers:
    """The measures of a task in tables 2 and 3; none of a missing table."""
    tables = [read_table(folder, name) for name in TRAINED_TABLES if (folder / f"{name}.csv").is_file()]
    return {
        (tier, task, TRAINED[tier].profile, f"{row.model}, {row.setting}: {measure}"): str(getattr(row, measure))
        for table in tables
        for row in table[table["task"] == task].itertuples()
        for measure in TRAINED_MEASURES
    }


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
