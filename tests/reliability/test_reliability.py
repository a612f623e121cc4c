"""The runner itself: what it takes for a loss, where it believes a run to be, and what the page says of it."""

import json
import os
import random
import signal
from types import SimpleNamespace

import pytest

from tests.reliability import __main__ as command
from tests.reliability import report
from tests.reliability.rounds import Blow, Round, Skipped, misconduct
from tests.reliability.scenarios import Scene
from tests.reliability.stations import BEGUN, STATIONS, Place, Planned, choose, where
from tests.reliability.world import World

RUNS = "run_id,date,wall_seconds,command,resumed_at,seed\nabc,today,1,run,,7\n"
FIRST = Planned("fastbert-default", "default", "abc", "fine-tuning-abc", "self-distillation")
SECOND = Planned("distilbert-3-layers", "3-layers", "def", "fine-tuning-abc", "compact")


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


@pytest.fixture
def worlds(tmp_path):
    """Two worlds that hold the same."""
    worlds = [World(tmp_path / name) for name in ("one", "other")]
    for world in worlds:
        write(world.results / "runs.csv", RUNS)
        write(world.results / "traces" / "t.npz", "trace")
        write(world.runs / "abc" / "model" / "model.safetensors", "weights")
    return worlds


def test_dates_and_locks_are_no_differences(worlds):
    one, other = worlds
    write(one.results / "runs.csv", RUNS.replace("today,1,run,", "yesterday,2,run again,abc"))
    write(one.results / ".lock")
    assert one.differences(other) == []


def test_differences_are_found(worlds):
    one, other = worlds
    write(one.results / "runs.csv", RUNS.replace(",7", ",8"))
    write(one.results / "traces" / "t.npz", "another")
    write(one.runs / "abc" / "model" / "model.safetensors", "other weights")
    (other.results / "table2.csv").write_text("more")
    write(one.results / ".table2.csv.x.partial", "left over")
    names = [".table2.csv.x.partial", "abc/model/model.safetensors", "runs.csv", "table2.csv", "traces/t.npz"]
    assert one.differences(other) == names


def test_where_a_run_is_follows_from_its_files(tmp_path):
    world, seen, pid = World(tmp_path), [], 1234
    attempt = SimpleNamespace(process=SimpleNamespace(pid=pid), output="")
    first, own, trace = world.runs / FIRST.first, world.runs / "abc", world.results / "traces" / "book-review"
    steps = [
        world.results / "nothing",
        world.results / ".lock.json",
        first / "fine-tuning.safetensors",
        own / "self-distillation.safetensors",
        own / "test.npz",
        own / "dev.npz",
        trace / "fastbert-default-seed7-test.npz",
        world.results / "table2.csv",
        world.runs / "def" / "run.json",
        world.runs / "def" / "compact.safetensors",
    ]
    for moment, path in enumerate(steps):
        write(path, json.dumps({"pid": pid}))
        os.utime(path, (moment, moment))
        place = where(world, [FIRST, SECOND], attempt)
        seen.append((place.run, place.name))
    stations = ["starting", *STATIONS[1:3], "tracing", "tracing", *STATIONS[5:]]
    assert seen == [*((0, name) for name in stations), (1, "compact distillation"), (1, "tracing")]
    attempt.process.pid += 1  # so the lock is a killed one's
    assert where(world, [FIRST, SECOND], attempt).name == "starting"
    attempt.output = f"{BEGUN} def"  # or was given back
    assert where(world, [FIRST, SECOND], attempt) is None


def test_the_station_that_was_hit_least_is_struck_next():
    places = {Place(run, station): 2.0 for run in (0, 1) for station in range(4)}
    hits = {"starting": 3, "fine-tuning": 2, "self-distillation": 1, "compact distillation": 2}
    place, delay = choose(places, Place(0, 3), hits, random.Random(0))
    assert place == Place(1, 2)
    assert 0 <= delay <= 2


def test_a_wrong_exit_code_and_a_traceback_are_misconduct():
    assert misconduct(1, "error: t.csv: No space left on device", 1) == []
    assert misconduct(-9, "", -9) == []
    assert misconduct(130, "error: interrupted; the same command goes on", 130) == []
    assert misconduct(0, "error: x: y", 1) == ["exit code 0, expected 1"]
    for said in ("", "Traceback\nOSError: full", "error: one\nand two"):
        assert len(misconduct(1, said, 1)) == 1


def test_a_full_disk_that_no_file_is_named_of_is_misconduct():
    for said in ("error: input or output: No space left on device", "error: [Errno 28] No space left on device"):
        assert misconduct(1, said, 1) == [f"found {said!r} on standard error, expected a file's name in it"]


def test_a_process_of_its_own(tmp_path):
    world = World(tmp_path / "world")
    listed, refused = world.finish(("list",)), world.finish(("run", "nowhere"))
    assert (listed.wait(), refused.wait()) == (0, 2)
    assert "book-review" in listed.output
    assert refused.message.startswith("error: unknown task 'nowhere'")
    assert str(refused) == "python -m reproductions run nowhere"
    stopped = world.start(("list",))
    if stopped.stop():
        stopped.send(signal.SIGKILL)
        assert stopped.wait() == -signal.SIGKILL


BLOW = Blow("fastbert-default", "tracing", 1.5, -9, "")
GOOD, LOST = Round([BLOW]), Round([BLOW], ["table2.csv differs"])


def test_the_page_tells_what_was_lost(tmp_path):
    scene = Scene("checkpoint, cut off", "python -m reproductions run", 2, "error: a | b", [])
    outcomes = {"kills": [GOOD, LOST], "damage": [scene], "full-disk": "no disk can be mounted here"}
    report.write(tmp_path / "page.md", "python -m tests.reliability", outcomes, 3.0)
    page = (tmp_path / "page.md").read_text()
    assert "| 1 | fastbert-default | tracing | 1.50 | -9 |  | same bytes |" in page
    assert "| 2 | fastbert-default | tracing | 1.50 | -9 |  | LOST: table2.csv differs |" in page
    assert "| 2 | error: a \\| b | as it should be |" in page
    assert "| A full disk | skipped: no disk can be mounted here |  |" in page
    assert "2 times in 2 runs" in page


def skipped(*_):
    raise Skipped("no disk can be mounted here")


@pytest.mark.parametrize(("part", "code"), [(lambda *_: [GOOD], 0), (lambda *_: [GOOD, LOST], 1), (skipped, 0)])
def test_the_exit_code_is_1_if_anything_was_lost(monkeypatch, capsys, part, code):
    monkeypatch.setattr(command, "make_reference", lambda folder: None)
    monkeypatch.setattr(command, "campaign", part)
    assert command.main(["--only", "kills", "--kills", "2"]) == code
    assert capsys.readouterr().out.startswith("SIGKILL: ")
