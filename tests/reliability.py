"""Runs killed, interrupted and without disk must lose nothing: `python -m tests.reliability`, exit code 1 if one does.

A run of the smoke profile is struck at a place, begun again by the same command, struck again at a later one, and so on
until it ends. Then its results and its trained models must have the same bytes as those of a run that nothing happened
to. A place is what a run does to its files: it begins one (tempfile), or puts one where it belongs (rename).
"""

import argparse
import csv
import io
import json
import multiprocessing
import os
import random
import re
import resource
import signal
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import NamedTuple

import torch

import reproductions.run  # so that a process that is forked from this one has what it needs  # noqa: F401
from fastbert_core.arguments import ArgumentParser
from fastbert_core.files import PARTIAL
from reproductions import cli

FORK = multiprocessing.get_context("fork")
RUN = ("run", "book-review", "--profile", "smoke", "--train-rows", "96", "--results-dir", "results")
MAY_DIFFER = {"date", "wall_seconds", "command", "resumed_at"}  # columns of runs.csv and run.json
BEGUN, PLACED = ("tempfile.mkstemp", "tempfile.mkdtemp"), ("os.rename",)  # as Python's audit hooks name them
RANDOM_PART = re.compile(rf"\.?[a-z0-9_]{{8}}{re.escape(PARTIAL)}")
NAMES_A_FILE = re.compile(r"error: \S+: ")  # "error: input or output: …" is what the command line says without a name


class Place(NamedTuple):
    """What a run does to a file of its working folder, and how many seconds pass until it does something to the next.

    path: relative to the working folder, without what tempfile adds; a folder in the making ends with /.
    """

    event: str
    path: str
    seconds: float = 0.0


class Strike(NamedTuple):
    """What happens to a run, from within its own process, and the exit code that it must end with."""

    act: Callable[[], None]
    code: int


class Blow(NamedTuple):
    """Where a run was struck, after how many seconds there, how it ended, and what is wrong with that."""

    place: Place
    delay: float
    code: int
    message: str
    wrong: list[str]


def _fill_disk() -> None:
    """From now on no file can grow, which is what a writer sees of a full disk; and it needs no disk to be mounted."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, resource.getrlimit(resource.RLIMIT_FSIZE)[1]))


STRIKES = {
    "kills": Strike(lambda: os.kill(os.getpid(), signal.SIGKILL), -signal.SIGKILL),
    "interrupts": Strike(lambda: os.kill(os.getpid(), signal.SIGINT), 130),
    "full-disk": Strike(_fill_disk, 1),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Strike runs as --only says, print how they ended, and return the exit code."""
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        print("skipped: a full disk and a fork are Linux's here")
        return 0
    lost = False
    with tempfile.TemporaryDirectory() as temporary:
        reference = Path(temporary, "reference")
        places = observed(reference)
        rng = random.Random(options.seed)
        for name in options.only:
            targets = stations(places) if name == "full-disk" else points(places, options.kills, rng)
            blows, wrong, runs = campaign(Path(temporary, name), reference, STRIKES[name], targets)
            for blow in blows:
                told = f"{blow.place.event} {blow.place.path}, {blow.delay:.2f} s later: exit code {blow.code}"
                print(f"{name}: {told} {blow.message}".rstrip())
                wrong += blow.wrong
            print("\n".join(f"LOST: {fault}" for fault in wrong), end="\n" if wrong else "")
            print(f"{name}: {len(blows)} in {runs} runs; wrong: {len(wrong)}", flush=True)
            lost |= bool(wrong) or len(blows) < min(len(targets), 1)
    return int(lost)


def campaign(
    folder: Path, reference: Path, strike: Strike, targets: Sequence[tuple[Place, float]]
) -> tuple[list[Blow], list[str], int]:
    """Strike at each target in turn, in as few runs as it takes.

    Returns the blows, what is wrong with what runs left in the end, and the number of runs. A target that a run no
    longer passes, as it went on from a file that is there already, is passed over: that run is done, a new one begins.
    """
    blows, wrong, runs, left = [], [], 0, list(targets)
    while left:
        runs += 1
        world, code = folder / f"run {runs}", 1
        while left and code:
            place, delay = left.pop(0)
            code, message = attempt(world, RUN, at(place, delay, strike.act))
            if code:
                blows.append(Blow(place, delay, code, message, misconduct(code, message, strike.code)))
        code, message = attempt(world, RUN)
        wrong += [f"exit code {code} in the end: {message}"] if code else []
        wrong += [f"{name} differs" for name in differences(world, reference)]
    return blows, wrong, runs


def observed(folder: Path) -> list[Place]:
    """The places of an uninterrupted run in `folder`, in order. Raises RuntimeError if it fails or leaves no model."""
    log = folder.with_suffix(".places")
    with open(log, "w", buffering=1, encoding="utf-8") as file:
        code, message = attempt(folder, RUN, lambda place: print(time.monotonic(), *place[:2], sep="\t", file=file))
    contents = _contents(folder)
    if code or "runs.csv" not in contents or not any(name.endswith(".safetensors") for name in contents):
        raise RuntimeError(f"an uninterrupted run ended with exit code {code}: {message}; found {sorted(contents)}")
    rows = [line.split("\t") for line in log.read_text(encoding="utf-8").splitlines()]
    ends = [float(row[0]) for row in rows[1:]] + [float(rows[-1][0])]
    return [Place(event, path, end - float(start)) for (start, event, path), end in zip(rows, ends, strict=True)]


def points(places: Sequence[Place], wanted: int, rng: random.Random) -> list[tuple[Place, float]]:
    """So many random points, in order: by turns any place and any moment, so that files and training both get some."""
    first = {place[:2]: at for at, place in reversed([*enumerate(places)])}
    chosen = []
    for number in range(wanted):
        by_time = rng.choices(places, [place.seconds for place in places])[0]
        chosen.append((by_time, rng.uniform(0, by_time.seconds)) if number % 2 else (rng.choice(places), 0.0))
    return sorted(chosen, key=lambda point: (first[point[0][:2]], point[1]))


def stations(places: Sequence[Place]) -> list[tuple[Place, float]]:
    """The first place of each kind at which a run begins a file, or a folder of files."""
    kinds = {}
    for place in (place for place in places if place.event in BEGUN):
        folder, name = os.path.split(place.path)
        # Files of all runs are written alike; what a library writes into a folder depends on the run.
        kind = (re.sub(r"[0-9a-f]{16}", "", folder), re.sub(r"\d+", "", name)) if name else folder
        kinds.setdefault(kind, place)
    return [(place, 0.0) for place in kinds.values()]


def at(wanted: Place, delay: float, act: Callable[[], None]) -> Callable[[Place], None]:
    """What to do at each place of a run so that `act` happens once, `delay` seconds after the wanted one is reached."""
    done = []

    def see(place: Place) -> None:
        if place[:2] == wanted[:2] and not done:
            done.append(place)
            timer = threading.Timer(delay, act)
            timer.daemon = True  # a run that ends earlier does not wait
            timer.start() if delay else act()

    return see


def attempt(folder: Path, command: Sequence[str], see: Callable[[Place], None] | None = None) -> tuple[int, str]:
    """Run a command of `python -m reproductions` in `folder`; its exit code, and what it said on standard error.

    see: called in its process just before each place. The process is forked from this one, which has loaded all
    libraries, so that it starts at once; this one must not compute with torch, whose threads do not outlive a fork.
    """
    folder.mkdir(parents=True, exist_ok=True)
    reading, writing = os.pipe()  # no file: those may be full
    process = FORK.Process(target=_child, args=(folder, command, writing, see), daemon=True)
    process.start()
    os.close(writing)
    with open(reading, encoding="utf-8") as said:
        message = said.read().strip()
    process.join()
    return process.exitcode, message


def _child(folder: Path, command: Sequence[str], errors: int, see: Callable[[Place], None] | None) -> None:
    os.dup2(os.open(os.devnull, os.O_WRONLY), 1)
    os.dup2(errors, 2)
    sys.stdout, sys.stderr = (os.fdopen(number, "w", buffering=1, encoding="utf-8") for number in (1, 2))
    for name in [name for name in os.environ if name.startswith("FASTBERT_")]:
        del os.environ[name]
    os.environ["FASTBERT_RUNS"] = "runs"
    os.chdir(folder)
    torch.set_num_threads(1)
    sys.argv = ["reproductions", *command]
    signal.signal(signal.SIGINT, signal.default_int_handler)
    if see:
        sys.addaudithook(lambda event, arguments: _tell(see, event, arguments))
    sys.exit(cli.main(command))


def _tell(see: Callable[[Place], None], event: str, arguments: tuple) -> None:
    if event in BEGUN + PLACED:
        path = os.path.relpath(os.fsdecode(arguments[event in PLACED]))  # of a rename: where to
        if not path.startswith(os.pardir):
            see(Place(event, RANDOM_PART.sub("", path)))


def misconduct(code: int, message: str, expected: int) -> list[str]:
    """What is wrong with how a command ended: another exit code, or, unless it was killed, not one line of error.

    Exit code 1 is a disk's fault here, so that the line must name a file.
    """
    wrong = [] if code == expected else [f"exit code {code}, expected {expected}"]
    if expected > 0 and not (message.startswith("error: ") and "\n" not in message):
        wrong.append(f"found {message!r} on standard error, expected one line")
    elif expected == 1 and not NAMES_A_FILE.match(message):
        wrong.append(f"found {message!r} on standard error, expected a file's name in it")
    return wrong


def differences(world: Path, reference: Path) -> list[str]:
    """Files of the results, and trained models, that are not the reference's; what may differ left aside."""
    mine, theirs = _contents(world), _contents(reference)
    return sorted(name for name in mine.keys() | theirs.keys() if mine.get(name) != theirs.get(name))


def _contents(world: Path) -> dict[str, bytes | list]:
    results = world / "results" / "smoke"
    files = [path for path in results.rglob("*") if path.is_file() and path.name != ".lock"]
    contents = {path.relative_to(results).as_posix(): path.read_bytes() for path in files}
    for model in (world / "runs").rglob("model/*.safetensors"):
        contents[model.relative_to(world).as_posix()] = model.read_bytes()
    if "runs.csv" in contents:
        rows = csv.DictReader(io.StringIO(contents["runs.csv"].decode()))
        contents["runs.csv"] = [{key: row[key] for key in row if key not in MAY_DIFFER} for row in rows]
    for name in (name for name in contents if name.endswith("run.json")):
        record = json.loads(contents[name])
        contents[name] = [record[key] for key in record if key not in MAY_DIFFER]
    return contents


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--kills", type=int, default=10, help="at how many random places (default: 10); so interrupts")
    parser.add_argument("--seed", type=int, default=7, help="of the random places and delays (default: 7)")
    parser.add_argument("--only", type=_names, default=[*STRIKES], help=f"of {','.join(STRIKES)}; default: all")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in STRIKES]:
        raise argparse.ArgumentTypeError(f"found {', '.join(unknown)}, expected some of {', '.join(STRIKES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
