"""Mutants as data, and what becomes of one: a copy of the tree, the change, the tier that must notice it."""

import csv
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from pathlib import Path
from typing import NamedTuple

PYTEST = ("pytest", "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider")
FAILED = re.compile(r"(?:FAILED|ERROR) (.+?)(?: - .*)?")


class MutantError(Exception):
    """A mutant or a tier that proves nothing: its text is not there, or the tier does not run."""


class Mutant(NamedTuple):
    """A change of one file: `old`, which stands there exactly once, becomes `new`; `tier` must notice."""

    name: str
    what: str
    file: str
    old: str
    new: str
    tier: str


def load(path: Path) -> list[Mutant]:
    """The mutants of a TOML file, in its order."""
    return [Mutant(**fields) for fields in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]


def mutated(mutant: Mutant, text: str) -> str:
    """The changed text of the mutant's file. Raises MutantError unless `old` stands there exactly once."""
    if (count := text.count(mutant.old)) != 1:
        raise MutantError(f"{mutant.name}: found its old text {count} times in {mutant.file}, expected once")
    return text.replace(mutant.old, mutant.new)


def caught_by(root: Path, tier: str, mutant: Mutant | None = None) -> str:
    """What fails first when `tier` is run on a copy of the tree at `root` with the mutant in it; empty if nothing does.

    tier: a pytest selection, answered by a test's id, or `check` and its options, answered by a claim of the gate.
    Raises MutantError if the mutant cannot be put in, or the tier does not run.
    """
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        _copy(root, tree)
        if mutant is not None:
            file = tree / mutant.file
            file.write_text(mutated(mutant, file.read_text(encoding="utf-8")), encoding="utf-8")
        return _gate(tree, tier) if tier.split()[0] == "check" else _tests(tree, tier)


def _copy(root: Path, tree: Path) -> None:
    """Copy the files that git knows, or would take in."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    for name in filter(None, listed.split("\0")):
        if (root / name).is_file():
            (tree / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(root / name, tree / name)


def _tests(tree: Path, selection: str) -> str:
    done = _python(tree, *PYTEST, *shlex.split(selection))
    if done.returncode == 0:
        return ""
    failed = [match[1] for line in done.stdout.splitlines() if (match := FAILED.fullmatch(line))]
    if done.returncode != 1 or not failed:
        raise MutantError(f"pytest {selection}: exit code {done.returncode}: {_last(done)}")
    return failed[0]


def _gate(tree: Path, tier: str) -> str:
    report = tree.parent / "findings.csv"
    done = _python(tree, "reproductions", *shlex.split(tier), "--report", str(report))
    if done.returncode == 0:
        return ""
    if done.returncode != 1 or not report.is_file():
        raise MutantError(f"{tier}: exit code {done.returncode}: {_last(done)}")
    with open(report, encoding="utf-8", newline="") as file:
        return next(f"{tier}: {row['metric']}" for row in csv.DictReader(file) if row["ok"] == "no")


def _python(tree: Path, *words: str) -> subprocess.CompletedProcess:
    """`python -m …` on the copy; one thread each, for the mutants share the cores."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", *words], cwd=tree, env=environment, capture_output=True, text=True)


def _last(done: subprocess.CompletedProcess) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else "no output"
