"""What else may happen to a run: company, a disk that cannot be written, damaged files."""

import random
import shutil
import signal
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from reproductions.store import trace_path
from tests.reliability.rounds import (
    Reference,
    disk,
    ending,
    folder_of_its_own,
    misconduct,
)
from tests.reliability.stations import STATIONS, Place, reach
from tests.reliability.world import MEASURE, RUN, TASK, Attempt, World

WAITING = "held by pid"


@dataclass
class Scene:
    """One thing that was tried: the command, how it ended, what it said; `wrong` is empty if nothing was."""

    what: str
    command: str
    code: int
    message: str
    wrong: list[str] = field(default_factory=list)


def company(folder: Path, reference: Reference) -> Iterator[Scene]:
    """Two commands at once: on one results folder, and with one FASTBERT_RUNS for two results folders."""
    with folder_of_its_own(folder / "two runs") as world:
        first = _holding(world)
        others = [world.start(command) for command in (RUN, MEASURE, RUN)]
        for other in others:
            other.says(WAITING)
        waiting = others.pop()
        waiting.send(signal.SIGINT)
        wrong = misconduct(waiting.wait(), waiting.message, 130)
        yield _scene("a run that waits for another is interrupted", waiting, wrong)
        held = str(first.process.pid)
        for what, attempt in zip(("run", "measure"), others, strict=True):
            wrong = _failed(attempt)
            wrong += [] if f"{WAITING} {held} since" in attempt.output else ["it did not say who holds the folder"]
            yield _scene(f"run and {what} at once on one results folder", attempt, wrong, _line(attempt))
        yield _scene("the run that they waited for", first, _failed(first) + world.differences(reference.world))

    with folder_of_its_own(folder / "killed holder") as world:
        first = _holding(world)
        second = world.start()
        second.says(WAITING)
        first.send(signal.SIGKILL)
        wrong = _failed(second) + world.differences(reference.world)
        yield _scene("the run that another waits for is killed", second, wrong, _line(second))

    with folder_of_its_own(folder / "two results") as world:
        first, beside = world.start(), World(world.folder, "elsewhere")
        second = beside.start()
        for which, attempt in ((world, first), (beside, second)):
            wrong = _failed(attempt) + which.differences(reference.world)
            yield _scene(f"two runs at once, one FASTBERT_RUNS: {which.results_name}/", attempt, wrong, _line(attempt))


def read_only(folder: Path, reference: Reference) -> Iterator[Scene]:
    """A results folder, and a FASTBERT_RUNS, that cannot be written: found before anything is trained."""
    for name in ("results", "runs"):
        with folder_of_its_own(folder / f"read-only {name}") as world:
            with disk(world.folder / name, "ro"):
                attempt = world.finish()
            wrong = misconduct(attempt.wait(), attempt.message, 1)
            wrong += ["it trained"] if "epoch" in attempt.output else []
            yield _scene(f"{name}/ is read-only", attempt, wrong + ending(world, reference))


def damage(folder: Path, reference: Reference, seed: int) -> Iterator[Scene]:
    """Files of a run, cut off or with a bit flipped: named, with exit code 2, and made again once they are deleted."""
    rng, run = random.Random(seed), reference.plan[0]
    own, first = Path("runs") / run.run_id, Path("runs") / run.first
    test = trace_path(Path("results/smoke"), TASK, run.model, run.variant, 7, "test")
    cases = [
        ("checkpoint", own / "self-distillation-checkpoint.safetensors", None),
        ("finished first stage", first / "fine-tuning.safetensors", None),
        ("finished second stage", own / "self-distillation.safetensors", None),
        ("trace in the run's folder", own / "test.npz", None),
        ("epoch's trace in the run's folder", own / "epochs" / "self-distillation-1.npz", own),
        ("trace in the results folder", test, None),
    ]
    for what, file, remedy in cases:
        with folder_of_its_own(folder / what) as world:
            _prepare(world, reference, what)
            whole = (world.folder / file).read_bytes()
            for how, content in (("cut off", _cut(whole, rng)), ("bit flipped", _flipped(whole, rng))):
                (world.folder / file).write_bytes(content)
                attempt = world.finish()
                wrong = misconduct(attempt.wait(), attempt.message, 2)
                wrong += [] if str(file) in attempt.message else ["the file is not named"]
                yield _scene(f"{what}, {how}", attempt, wrong)
            gone = world.folder / (remedy or file)
            shutil.rmtree(gone) if gone.is_dir() else gone.unlink()
            attempt = world.finish()
            wrong = _failed(attempt) + world.differences(reference.world)
            yield _scene(f"{what}, deleted", attempt, wrong)


def _prepare(world: World, reference: Reference, what: str) -> None:
    """A world that stands where the damaged file is read: with a checkpoint, done but for its results, or done."""
    if what == "checkpoint":
        attempt = world.start()
        checkpoint = world.runs / reference.plan[0].run_id / "self-distillation-checkpoint.safetensors"
        reach(attempt, world, reference.plan, Place(0, STATIONS.index("self-distillation")), 0.0)
        attempt.send(signal.SIGCONT)
        while not checkpoint.is_file() and attempt.running:
            pass
        attempt.send(signal.SIGKILL)
        attempt.wait()
        return
    shutil.copytree(reference.world.runs, world.runs)
    if what == "trace in the results folder":
        shutil.copytree(reference.world.results, world.results)


def _cut(content: bytes, rng: random.Random) -> bytes:
    return content[: rng.randrange(len(content))]


def _flipped(content: bytes, rng: random.Random) -> bytes:
    place = rng.randrange(len(content))
    return content[:place] + bytes([content[place] ^ 1 << rng.randrange(8)]) + content[place + 1 :]


def _holding(world: World) -> Attempt:
    """A run that holds its results folder."""
    attempt = world.start()
    attempt.says(": run ")
    return attempt


def _failed(attempt: Attempt) -> list[str]:
    return [f"exit code {attempt.process.exitcode}: {attempt.message}"] if attempt.wait() else []


def _line(attempt: Attempt) -> str:
    """What a command said of the one it waited for."""
    return next((line for line in attempt.output.splitlines() if WAITING in line), "")


def _scene(what: str, attempt: Attempt, wrong: list[str], message: str = "") -> Scene:
    return Scene(what, str(attempt), attempt.wait(), message or attempt.message, wrong)
