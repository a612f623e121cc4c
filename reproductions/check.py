"""`check`, the gate: does the suite still say what it said? Three tiers, by what they cost.

exact: two to five minutes. FLOPs to the unit; every committed table made again from its traces, to the same bytes;
each row's run and each run's commit known; every trace as it was published.
live: a minute. The smoke profile trained twice: the same bits, and accuracy and FLOPs where expected.csv has them.
real: 3 to 11 minutes, where it is asked for. Real text trained once, as the README's main job does: the same.
"""

import argparse
import os
import tempfile
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from itertools import chain
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import sha256
from reproductions import budget, checkout, flops, pages, rules
from reproductions.check_training import TRAINED, trained
from reproductions.claims import (
    TIERS,
    Claim,
    Finding,
    held,
    read_claims,
    same_files,
    summary,
    updated,
    write_rows,
)
from reproductions.measure import groups, measured
from reproductions.parallel import each
from reproductions.store import RECORD, find_runs
from reproductions.tables import read_table, write_or_remove, write_tables

USUAL = TIERS[:2]
COMMITTED = ("standard", "packaged")  # profiles, beside the counts of results/paper
EXPECTED = Path(__file__).parent / "expected.csv"
GRID = "grid.csv"  # the one table that no trace gives
COUNTS = Path("paper", "table1.csv")  # which `counted` makes again, and which may lie beside a profile's tables
FURTHER = {  # what commands beside `measure` make of traces, by the table that tells they were called: how, and which
    "leaderboard": (rules.measured, ("exit_rules", "leaderboard")),
    "budget": (budget.measured, ("budget", "guarantees", "streams", "layer_guarantees")),
}


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
        profiles = dict.fromkeys([options.profile, *(COMMITTED if committed else ())])
        folders = [folder for profile in profiles for folder in groups(options.results_dir / profile)]
        work = [(of, folder) for folder in folders for of in parts(folder)]
        work.sort(key=lambda piece: -_size(piece[1]))  # the longest begin first
        if committed or (options.results_dir / "paper").is_dir():
            work.append((counted, options.results_dir))
        work += [(made_page, path) for path in pages.pages()] if committed else []
        findings += chain.from_iterable(each(_found, work, few=4))
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
        write_rows(EXPECTED, Claim, claims)
    asked = [claim for claim in claims if claim.tier in tiers]
    findings[:0] = [
        held(claim[:3], claim.metric, claim.expected, numbers.get(claim[:4], ""), claim.tolerance) for claim in asked
    ]
    print(summary(sorted(findings, key=lambda finding: TIERS.index(finding.tier))))
    if options.report:
        write_rows(options.report, Finding, findings)
    return 0 if all(finding.ok == "yes" for finding in findings) else 1


def _size(folder: Path) -> int:
    """Bytes of a profile's traces, without those of folders within it."""
    return sum(path.stat().st_size for path in (folder / "traces").rglob("*.npz"))


def _found(of: Callable[[Path], Iterable[Finding]], path: Path) -> list[Finding]:
    """What `of` says of a path, as a list: an iterator cannot leave the process that made it."""
    return list(of(path))


def counted(results_dir: Path) -> Iterator[Finding]:
    """A finding for each table of FLOPs, counted again."""
    with tempfile.TemporaryDirectory() as temporary:
        path = flops.write_paper(Path(temporary))
        yield same_files(("exact", "", ""), COUNTS.as_posix(), results_dir / COUNTS, path)


def parts(folder: Path) -> list[Callable[[Path], Iterable[Finding]]]:
    """What gives the findings of a profile's folder, each by itself."""
    further = [partial(made_further, name) for name in FURTHER if (folder / f"{name}.csv").is_file()]
    return [remeasured, *further, provenance]


def remeasured(folder: Path) -> Iterator[Finding]:
    """A finding for each file of a profile's folder that `measure` makes, made again, and for what nothing makes."""
    with tempfile.TemporaryDirectory() as temporary:
        made = Path(temporary)
        try:
            write_or_remove(made, measured(folder))
        except InputError as error:
            yield held(("exact", "", folder.name), "measured from the traces", "everything", str(error))
            return
        names = {path.name for side in (folder, made) for path in side.glob("[!.]*") if path.is_file()} - {GRID}
        names -= {COUNTS.name} if folder.name == COUNTS.parent.name else set()
        names -= {f"{table}.csv" for name, (_, tables) in FURTHER.items() if f"{name}.csv" in names for table in tables}
        yield from made_again(folder, made, names)


def made_further(name: str, folder: Path) -> Iterator[Finding]:
    """A finding for each table that another command makes of the same traces, made again."""
    make, tables = FURTHER[name]
    with tempfile.TemporaryDirectory() as temporary:
        try:
            write_tables(Path(temporary), make(rules.traces_of(folder)))
        except InputError as error:
            yield held(("exact", "", folder.name), f"{name} from the traces", "everything", str(error))
            return
        yield from made_again(folder, Path(temporary), {f"{table}.csv" for table in tables})


def made_again(folder: Path, made: Path, names: set[str]) -> Iterator[Finding]:
    """A finding for each file of these names, in a profile's folder and as it was made again."""
    for name in sorted(names):
        yield same_files(("exact", "", folder.name), name, folder / name, made / name)


def made_page(path: Path) -> Iterator[Finding]:
    """A finding for a page: its generated blocks, made again."""
    name = os.path.relpath(path, checkout.ROOT)
    with tempfile.TemporaryDirectory() as temporary:
        (made := Path(temporary, path.name)).write_text(pages.made(path), encoding="utf-8")
        yield same_files(("exact", "", ""), name, path, made)


def provenance(folder: Path) -> Iterator[Finding]:
    """A finding for each run's commit and traces, each file that no run lists, and the commits of grid.csv."""
    place = ("exact", "", folder.name)
    try:
        yield from _runs(place, folder)
        if (folder / GRID).is_file():  # whose rows no run stands behind
            dirty = set(read_table(folder, GRID.removesuffix(".csv"))["git_dirty"]) - {"no"}
            yield held(place, f"{GRID}, code", "commits", "a commit and changes to it" if dirty else "commits")
    except InputError as error:
        yield held(place, "runs", "in order", str(error))


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
