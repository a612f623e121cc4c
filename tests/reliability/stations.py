"""Where a run is, read from the files that it has written so far, and how to stop it there."""

import csv
import json
import random
import signal
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import NamedTuple

from fastbert_core.tasks import TASKS
from reproductions.lock import HOLDER
from reproductions.settings import planned_runs, settings_for
from reproductions.store import trace_path
from tests.reliability.world import TASK, TRAIN_ROWS, Attempt, World

STATIONS = (
    "starting",
    "fine-tuning",
    "self-distillation",
    "compact distillation",
    "tracing",
    "publishing",
    "measuring",
    "writing CSVs",
)
SECOND_STAGE = {"default": "self-distillation", "reverse-kl": "self-distillation", "labels": None}
BEGUN = f"{TASK}, distilbert-3-layers, seed 7: run"  # in the output of who holds the results
POLL_SECONDS = 0.001


class Place(NamedTuple):
    """The run, counted from 0, and the station in it, by its place in STATIONS."""

    run: int
    station: int

    @property
    def name(self) -> str:
        """The station, for people."""
        return STATIONS[self.station]


STARTING = Place(0, 0)


@dataclass(frozen=True)
class Planned:
    """One of the runs that the command makes: its folders below FASTBERT_RUNS, and its second stage if it has one."""

    name: str
    variant: str
    run_id: str
    first: str
    second: str | None

    @property
    def model(self) -> str:
        """fastbert or distilbert."""
        return self.name.split("-")[0]


def planned(done: World) -> list[Planned]:
    """The runs of the smoke profile in their order; identities as a finished world has them."""
    with open(done.results / "runs.csv", encoding="utf-8", newline="") as file:
        rows = {(row["model"], row["variant"]): row for row in csv.DictReader(file)}
    plan = []
    for model, variant in planned_runs("smoke", TASKS[TASK]):
        row = rows[model, variant]
        settings = settings_for("smoke", TASKS[TASK], model, variant, row["precision"], train_rows=TRAIN_ROWS)
        first = f"fine-tuning-{settings.fine_tuning_id(row['data_sha256'], row['backbone_sha256'])}"
        second = "compact" if model == "distilbert" else SECOND_STAGE[variant]
        plan.append(Planned(f"{model}-{variant}", variant, row["run_id"], first, second))
    return plan


def where(world: World, plan: Sequence[Planned], attempt: Attempt) -> Place | None:
    """Where an attempt at the plan in `world` is at this moment; None if there is nothing left for it to do."""
    try:
        holder = json.loads((world.results / HOLDER).read_text(encoding="utf-8"))["pid"]
    except FileNotFoundError:
        holder = None
    if holder != attempt.process.pid:  # but a killed one's, or nobody's
        return None if BEGUN in attempt.output else STARTING
    begun = [run for run in plan if (world.runs / run.run_id).is_dir()]
    return Place(max(len(begun) - 1, 0), STATIONS.index(_station(world, begun[-1] if begun else plan[0])))


def _station(world: World, run: Planned) -> str:
    own, first = world.runs / run.run_id, world.runs / run.first
    if not (first / "fine-tuning.safetensors").is_file():
        return "fine-tuning"
    if run.second and not (own / f"{run.second}.safetensors").is_file():
        return "compact distillation" if run.second == "compact" else run.second
    traces = ("test.npz", "dev.npz") if run.name == "fastbert-default" else ("test.npz",)
    if not all((own / name).is_file() for name in traces):
        return "tracing"
    published = _modified(trace_path(world.results, TASK, run.model, run.variant, 7, "test"))
    if not published:
        return "publishing"
    written = _modified(world.results / "table2.csv")
    return "writing CSVs" if written > max(published, _modified(world.results / HOLDER)) else "measuring"


def _modified(path: Path) -> int:
    """When a file was written, in nanoseconds; 0 if it is not there."""
    try:
        return path.stat().st_mtime_ns
    except FileNotFoundError:
        return 0


def timed(world: World, plan: Sequence[Planned]) -> dict[Place, float]:
    """Run the plan uninterrupted in a fresh world; the seconds of work at each place, in order."""
    attempt, places = world.start(), {}
    while attempt.running and (place := where(world, plan, attempt)) is not None:
        now = attempt.seconds
        first, _ = places.get(place, (now, now))
        places[place] = (first, now)
        time.sleep(POLL_SECONDS)
    if attempt.wait():
        raise RuntimeError(f"an uninterrupted run ended with exit code {attempt.wait()}: {attempt.message}")
    return {place: last - first for place, (first, last) in places.items()}


def reach(attempt: Attempt, world: World, plan: Sequence[Planned], place: Place, delay: float) -> Place | None:
    """Stop the process after `delay` seconds of work at `place`, or beyond; where it is then, None if all was done."""
    while attempt.running and not _there(where(world, plan, attempt), place):
        time.sleep(POLL_SECONDS)
    due = delay + (attempt.seconds if attempt.running else 0.0)
    while attempt.running and attempt.seconds < due:
        time.sleep(POLL_SECONDS)
    if attempt.stop():
        if (found := where(world, plan, attempt)) is not None:
            return found
        attempt.send(signal.SIGCONT)
        attempt.wait()
    return None


def _there(found: Place | None, wanted: Place) -> bool:
    """Whether a process at `found` has come to `wanted`, or is past it; every process passes the start."""
    return found is None or wanted.station == 0 or (found.station > 0 and found >= wanted)


def choose(places: dict[Place, float], since: Place, hits: dict[str, int], rng: random.Random) -> tuple[Place, float]:
    """The place to strike next, of those from `since` on: of the station that was hit least; and a random delay.

    `places`: the seconds of work at each.
    """
    ahead = [place for place in places if place >= since or place == STARTING]
    fewest = min(hits.get(place.name, 0) for place in ahead)
    name = rng.choice(sorted({place.name for place in ahead if hits.get(place.name, 0) == fewest}))
    place = min(place for place in ahead if place.name == name)
    return place, rng.uniform(0, places[place])
