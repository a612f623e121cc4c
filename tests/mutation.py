"""The code broken on purpose, to see that a test notices: `python -m tests.mutation`.

A mutant says what the code says, not where: its old text must stand in the packages exactly once, in whichever file,
however lines are broken and indented. Exit code 1 if a mutant escapes, 2 if one proves nothing.
"""

import csv
import io
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile
import tomllib
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

from fastbert_core.arguments import ArgumentParser
from fastbert_core.files import atomic_write
from tests.project import ROOT, files

MUTANTS = Path(__file__).parent / "mutants.toml"
PACKAGES = ("fastbert_core", "reproductions")
PYTEST = ("pytest", "-x", "-q", "--tb=no", "-rfE", "-p", "no:cacheprovider")
FAILED = re.compile(r"(?:FAILED|ERROR) (.+?)(?: - .*)?")


class MutantError(Exception):
    """A mutant or a tier that proves nothing: its text is not there, or the tier does not run."""


class Mutant(NamedTuple):
    """A change of the packages: the text `old` becomes `new`, and `tier`, a pytest selection, must notice."""

    name: str
    what: str
    old: str
    new: str
    tier: str


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, mutants: Path = MUTANTS) -> int:
    """Run the tiers on the tree as it is, where they must pass, then each mutant's tier on the mutant."""
    options = _parser().parse_args(arguments)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            chosen = _chosen(load(mutants), options.names, options.first)
            tiers = sorted({mutant.tier for mutant in chosen})
            failing = pool.map(lambda tier: caught_by(root, tier), tiers)
            found = pool.map(lambda mutant: caught_by(root, mutant.tier, mutant), chosen)  # no core waits for a tier
            for tier, failed in zip(tiers, failing, strict=True):
                if failed:
                    raise MutantError(f"{tier}: {failed} fails without any mutant")
            print(f"{len(tiers)} tiers pass on the tree as it is", flush=True)
            rows = []
            for mutant, caught in zip(chosen, found, strict=True):
                rows.append((mutant.name, mutant.what, caught))
                print(f"{mutant.name}: {caught or 'ESCAPED'}", flush=True)
        except MutantError as error:
            pool.shutdown(cancel_futures=True)
            print(f"error: {error}", file=sys.stderr)
            return 2
    if options.report and (options.names or options.first):
        print(f"{options.report} is left as it is: it tells of all mutants")
    elif options.report:
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator="\n").writerows([("mutant", "what", "caught_by"), *rows])
        with atomic_write(options.report) as file:
            file.write(text.getvalue().encode())
    escaped = sum(not caught for *_, caught in rows)
    print(f"{len(rows)} mutants, {escaped} escaped")
    return 1 if escaped else 0


def load(path: Path) -> list[Mutant]:
    """The mutants of a TOML file, in its order."""
    return [Mutant(**fields) for fields in tomllib.loads(path.read_text(encoding="utf-8"))["mutant"]]


def mutated(mutant: Mutant, root: Path) -> tuple[Path, str]:
    """The file of the packages below `root` in which the mutant's old text stands, and its changed text.

    Raises MutantError unless it stands in them exactly once; space between words and signs is all the same.
    """
    old = re.compile(r"\s*".join(map(re.escape, re.findall(r"\w+|[^\w\s]", mutant.old))))
    paths = [path for package in PACKAGES for path in sorted((root / package).rglob("*.py"))]
    found = [(path, match) for path in paths for match in old.finditer(path.read_text(encoding="utf-8"))]
    if len(found) != 1:
        names = ", ".join(path.relative_to(root).as_posix() for path, _ in found)
        where = f"{len(found)} times in {', '.join(PACKAGES)}" + (f" ({names})" if names else "")
        raise MutantError(f"{mutant.name}: found its old text {where}, expected once")
    ((path, match),) = found
    return path, match.string[: match.start()] + mutant.new + match.string[match.end() :]


def caught_by(root: Path, tier: str, mutant: Mutant | None = None) -> str:
    """What fails first when `tier` is run on a copy of the tree at `root` with the mutant in it; empty if nothing does.

    Raises MutantError if the mutant cannot be put in, or the tier does not run.
    """
    with tempfile.TemporaryDirectory() as temporary:
        tree = Path(temporary) / "tree"
        _copy(root, tree)
        if mutant is not None:
            path, text = mutated(mutant, tree)
            path.write_text(text, encoding="utf-8")
        return _tests(tree, tier)


def _copy(root: Path, tree: Path) -> None:
    """Copy the files that git knows, or would take in."""
    for name in files(root):
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


def _python(tree: Path, *words: str) -> subprocess.CompletedProcess:
    """`python -m …` on the copy; one thread each, for the mutants share the cores."""
    environment = os.environ | {"PYTHONPATH": str(tree), "OMP_NUM_THREADS": "1"}
    return subprocess.run([sys.executable, "-m", *words], cwd=tree, env=environment, capture_output=True, text=True)


def _last(done: subprocess.CompletedProcess) -> str:
    lines = (done.stdout + done.stderr).strip().splitlines()
    return lines[-1] if lines else "no output"


def _chosen(mutants: list[Mutant], names: Sequence[str], first: int | None) -> list[Mutant]:
    if unknown := set(names) - {mutant.name for mutant in mutants}:
        raise MutantError(f"found no mutant {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not names or mutant.name in names][:first]


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of mutants.toml; default: all")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N of them")
    parser.add_argument("--report", type=Path, help="the CSV to write of all mutants: mutant, what, caught_by")
    return parser


if __name__ == "__main__":
    sys.exit(main())
