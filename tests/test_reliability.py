"""What reliability's runner takes for a loss, and that a process of its own can be struck."""

import shutil
import signal

import pytest

from tests import reliability
from tests.reliability import STRIKES, Place, at, attempt, campaign, differences, misconduct

RUNS = "run_id,date,wall_seconds,command,resumed_at,seed\nabc,today,1,run,,7\n"
BEGUN = Place("tempfile.mkstemp", "results/smoke/.runs.csv")
PLACES = [Place("tempfile.mkstemp", f"runs/a/.epoch-{epoch}.npz") for epoch in range(3)]


def write(path, text=""):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(text, encoding="utf-8")


def test_differences_are_found_and_dates_and_locks_are_none(tmp_path):
    one, other = tmp_path / "one", tmp_path / "other"
    write(one / "results" / "smoke" / "runs.csv", RUNS)
    write(one / "results" / "smoke" / "traces" / "t.npz", "trace")
    write(one / "runs" / "abc" / "model" / "model.safetensors", "weights")
    shutil.copytree(one, other)
    write(one / "results" / "smoke" / "runs.csv", RUNS.replace("today,1,run,", "yesterday,2,run again,abc"))
    write(one / "results" / "smoke" / ".lock")
    assert differences(one, other) == []
    write(one / "results" / "smoke" / "runs.csv", RUNS.replace(",7", ",8"))
    write(one / "results" / "smoke" / "traces" / "t.npz", "another")
    write(one / "runs" / "abc" / "model" / "model.safetensors", "other weights")
    write(other / "results" / "smoke" / "table2.csv", "more")
    write(one / "results" / "smoke" / ".table2.csv.x.partial", "left over")
    names = [".table2.csv.x.partial", "runs.csv", "runs/abc/model/model.safetensors", "table2.csv", "traces/t.npz"]
    assert differences(one, other) == names


def test_a_wrong_exit_code_a_traceback_and_a_full_disk_of_no_file_are_misconduct():
    assert misconduct(1, "error: t.csv: No space left on device", 1) == []
    assert misconduct(-9, "", -9) == []
    assert misconduct(130, "error: interrupted; the same command goes on", 130) == []
    assert misconduct(0, "error: x: y", 1) == ["exit code 0, expected 1"]
    for said in ("", "Traceback\nOSError: full", "error: one\nand two", "error: input or output: No space left"):
        assert len(misconduct(1, said, 1)) == 1


@pytest.mark.parametrize(("name", "code"), [("kills", -signal.SIGKILL), ("interrupts", 130), ("full-disk", 1)])
def test_a_strike_comes_once_where_it_is_meant_to(tmp_path, name, code):
    """`measure` of a folder without runs: its lock is the one file that it begins."""
    (tmp_path / "results" / "smoke").mkdir(parents=True)
    command = ["measure", "--profile", "smoke", "--results-dir", "results"]
    lock = Place("tempfile.mkstemp", "results/smoke/..lock.json")
    found, message = attempt(tmp_path, command, at(lock, 0.0, STRIKES[name].act))
    assert misconduct(found, message, code) == []
    found, message = attempt(tmp_path, command, at(BEGUN, 0.0, STRIKES[name].act))
    assert found == 2  # it never comes to that place
    assert "found no traces" in message


def test_a_campaign_goes_on_from_strike_to_strike_and_tells_what_was_lost(tmp_path, monkeypatch):
    codes = iter([-9, 0, 0, 1, 0])  # struck; not struck, so done; at its end; struck in a new run otherwise; at its end
    monkeypatch.setattr(reliability, "attempt", lambda world, command, see=None: (next(codes), ""))
    monkeypatch.setattr(reliability, "differences", lambda world, reference: ["table2.csv"] * world.name.endswith("2"))
    targets = [(place, 0.0) for place in PLACES]
    blows, wrong, runs = campaign(tmp_path, tmp_path, STRIKES["kills"], targets)
    assert [(blow.place, blow.wrong) for blow in blows] == [(PLACES[0], []), (PLACES[2], ["exit code 1, expected -9"])]
    assert (wrong, runs) == (["table2.csv differs"], 2)
