"""The page that shows what was tried and how it ended."""

import os
from collections import Counter
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import torch

from fastbert_core.files import atomic_write
from reproductions.provenance import git_state, machine
from tests.reliability.rounds import Round
from tests.reliability.scenarios import Scene
from tests.reliability.stations import STATIONS
from tests.reliability.world import MAY_DIFFER, RUN

RIGHT = "as it should be"
TITLES = {
    "kills": "SIGKILL",
    "interrupts": "SIGINT",
    "full-disk": "A full disk",
    "company": "Two commands at once",
    "read-only": "A folder that cannot be written",
    "damage": "Damaged files",
}
ABOUT = {
    "kills": "The process is gone without a word; the same command is given again.",
    "interrupts": "Exit code 130 and one line; the same command goes on.",
    "full-disk": "Results, checkpoints and models lie on a small disk, which is filled up while the process is stopped "
    "at the station. Exit code 1 and one line that names a file; when there is room again, the same command goes on.",
    "company": "The second says who holds the folder, waits, and goes on.",
    "read-only": "Exit code 1 and one line, before anything is trained; when it can be written, the command goes on.",
    "damage": "Cut off, or with one bit flipped, at a random place: exit code 2 and one line that names the file. Once "
    "it is deleted, the same command makes it again.",
}

Outcome = Sequence[Round] | Sequence[Scene] | str  # a text says why a part was skipped


def write(path: Path, command: str, outcomes: dict[str, Outcome], minutes: float) -> None:
    """Write the page: `outcomes` of each part, by its name in TITLES."""
    code, place = git_state(), machine(torch.device("cpu"))
    changed = " with uncommitted changes" if code["git_dirty"] == "yes" else ""
    lines = [
        "# Reliability, measured",
        "",
        f"Written by `{command}` in {minutes:.0f} minutes, {datetime.now(UTC):%Y-%m-%d}, from commit "
        f"{code['git_sha']}{changed}, on {place['device']}, {os.cpu_count()} cores.",
        "",
        f"Every run is `python -m reproductions {' '.join(RUN)}`: {len(STATIONS)} stations, four models. In the end "
        f"its results (tables, traces, runs.csv but for {', '.join(MAY_DIFFER)}) and trained models are compared with "
        "those of a run that nothing happened to: **same bytes**, or LOST. Moments and places are random, seeded.",
        "",
        "| part | tried | wrong |",
        "| --- | --- | --- |",
        *(f"| {TITLES[name]} | {_tried(outcome)} | {_wrong(outcome)} |" for name, outcome in outcomes.items()),
    ]
    for name, outcome in outcomes.items():
        lines += ["", f"## {TITLES[name]}", "", ABOUT[name], "", *_table(outcome)]
    with atomic_write(path) as file:
        file.write(("\n".join(lines) + "\n").encode())


def failures(outcomes: dict[str, Outcome]) -> int:
    """In how many rounds and scenes something was lost or otherwise not as it should be."""
    return sum(bool(tried.wrong) for outcome in outcomes.values() if not isinstance(outcome, str) for tried in outcome)


def summary(outcome: Outcome) -> str:
    """What was tried, and how often it went wrong."""
    return _tried(outcome) if isinstance(outcome, str) else f"{_tried(outcome)}; wrong: {_wrong(outcome)}"


def _tried(outcome: Outcome) -> str:
    if isinstance(outcome, str):
        return f"skipped: {outcome}"
    if isinstance(outcome[0], Scene):
        return f"{len(outcome)} scenes"
    struck = Counter(blow.station for tried in outcome for blow in tried.blows)
    stations = ", ".join(f"{name} {struck[name]}" for name in STATIONS)
    return f"{struck.total()} times in {len(outcome)} runs ({stations})"


def _wrong(outcome: Outcome) -> str:
    return "" if isinstance(outcome, str) else str(failures({"": outcome}))


def _table(outcome: Outcome) -> list[str]:
    if isinstance(outcome, str):
        return [f"Skipped: {outcome}."]
    if isinstance(outcome[0], Scene):
        rows = [
            (scene.what, f"`{scene.command}`", scene.code, scene.message, "; ".join(scene.wrong) or RIGHT)
            for scene in outcome
        ]
        return _markdown(("what", "command", "exit code", "it said", "outcome"), rows)
    rows = [
        (number, blow.run, blow.station, f"{blow.seconds:.2f}", blow.code, blow.message, tried.outcome)
        for number, tried in enumerate(outcome, 1)
        for blow in tried.blows
    ]
    return _markdown(("run", "model", "station", "after seconds of work", "exit code", "it said", "in the end"), rows)


def _markdown(header: tuple, rows: list[tuple]) -> list[str]:
    cells = [header, tuple("---" for _ in header), *rows]
    return ["| " + " | ".join(str(cell).replace("|", "\\|") for cell in row) + " |" for row in cells]
