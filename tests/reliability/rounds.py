"""Rounds: a run that is struck again and again, begun again each time, and compared with an uninterrupted one."""

import contextlib
import random
import re
import shutil
import signal
import subprocess
from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

from tests.reliability.stations import STARTING, Place, Planned, choose, reach
from tests.reliability.world import Attempt, World

STRIKES = 8  # in one round at most, so that many whole runs are compared
SAME = "same bytes"
NAMES_A_FILE = re.compile(r"error: \S+: ")  # "error: input or output: ..." is what the command line says without a name


class Skipped(Exception):
    """What a scenario needs cannot be had on this machine."""


@dataclass(frozen=True)
class Reference:
    """An uninterrupted run: what it left, the runs it made, and the seconds of work at each place."""

    world: World
    plan: Sequence[Planned]
    places: dict[Place, float]


@dataclass
class Blow:
    """One strike: the run and the station it struck, after how many seconds of work, and how the command ended."""

    run: str
    station: str
    seconds: float
    code: int
    message: str


@dataclass
class Round:
    """A run struck by `blows`; `wrong` says what was not as it should be, empty if nothing was lost."""

    blows: list[Blow] = field(default_factory=list)
    wrong: list[str] = field(default_factory=list)

    @property
    def outcome(self) -> str:
        """For people."""
        return f"LOST: {'; '.join(self.wrong)}" if self.wrong else SAME


class Strike(NamedTuple):
    """What is done to a process that has been stopped, and the exit code that it must end with."""

    act: Callable[[Attempt, World], None]
    code: int


def _kill(attempt: Attempt, world: World) -> None:
    attempt.send(signal.SIGKILL)


def _interrupt(attempt: Attempt, world: World) -> None:
    attempt.send(signal.SIGINT)


def _fill_disk(attempt: Attempt, world: World) -> None:
    filler = world.folder / "filler"
    with open(filler, "wb", buffering=0) as file:
        for size in (1 << 20, 1 << 12):
            with contextlib.suppress(OSError):  # the disk is full
                while True:
                    file.write(bytes(size))
    attempt.send(signal.SIGCONT)
    attempt.wait()
    filler.unlink()


KILL, INTERRUPT, FULL_DISK = Strike(_kill, -signal.SIGKILL), Strike(_interrupt, 130), Strike(_fill_disk, 1)


@contextlib.contextmanager
def folder_of_its_own(folder: Path) -> Iterator[World]:
    """A fresh world in `folder`, gone after the block."""
    yield World(folder)
    shutil.rmtree(folder)


@contextlib.contextmanager
def disk(folder: Path, options: str) -> Iterator[World]:
    """A fresh world on a disk of its own in memory. Raises Skipped where mounting one is not permitted."""
    folder.mkdir(parents=True)
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(folder)]
    try:
        subprocess.run(command, check=True, capture_output=True, text=True)
    except (FileNotFoundError, subprocess.CalledProcessError) as error:
        reason = getattr(error, "stderr", "") or str(error)
        raise Skipped(f"no disk can be mounted here ({reason.strip().splitlines()[0]})") from error
    try:
        yield World(folder)
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def small_disk(folder: Path) -> contextlib.AbstractContextManager[World]:
    """A fresh world on a disk that is soon full."""
    return disk(folder, "size=192m")


def campaign(
    make: Callable[[Path], contextlib.AbstractContextManager[World]],
    folder: Path,
    reference: Reference,
    strike: Strike,
    wanted: int,
    seed: int,
) -> list[Round]:
    """So many strikes over as many rounds as it takes, every station struck as often as the others."""
    rng, hits, rounds = random.Random(seed), Counter(), []
    while (missing := wanted - hits.total()) > 0:
        with make(folder / f"round {len(rounds) + 1}") as world:
            rounds.append(play(world, reference, strike, min(STRIKES, missing), hits, rng))
    return rounds


def play(world: World, reference: Reference, strike: Strike, strikes: int, hits: Counter, rng: random.Random) -> Round:
    """One round in a fresh `world`, of at most so many strikes; `hits` counts them by station, here and before."""
    played, since = Round(), STARTING
    while len(played.blows) < strikes:
        place, delay = choose(reference.places, since, hits, rng)
        attempt = world.start()
        struck = reach(attempt, world, reference.plan, place, delay)
        if struck is None:
            break
        seconds = attempt.seconds
        strike.act(attempt, world)
        if (code := attempt.wait()) == 0:  # the strike came when all was done
            break
        blow = Blow(reference.plan[struck.run].name, struck.name, seconds, code, attempt.message)
        played.blows.append(blow)
        played.wrong += misconduct(blow.code, blow.message, strike.code)
        hits[struck.name] += 1
        since = max(since, struck)
    played.wrong += ending(world, reference)
    return played


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


def ending(world: World, reference: Reference) -> list[str]:
    """Let the run come to its end; what is wrong with that, and the files that are not the reference's."""
    last = world.finish()
    wrong = [] if last.wait() == 0 else [f"exit code {last.wait()} in the end: {last.message}"]
    return wrong + [f"{name} differs" for name in world.differences(reference.world)]
