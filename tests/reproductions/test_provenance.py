import json

import pytest

from fastbert_core.errors import InputError
from reproductions import provenance
from reproductions.provenance import RunRecord


@pytest.fixture
def code(monkeypatch):
    """Sets the commit that the code claims to be at, and whether it is dirty."""

    def at(sha, dirty="no"):
        monkeypatch.setattr(provenance, "git_state", lambda: {"git_sha": sha, "git_dirty": dirty})

    return at


def test_a_resumed_run_keeps_its_first_commit_and_names_the_others(tmp_path, code):
    for sha in ("a", "a", "b", "a", "c"):
        code(sha)
        record = RunRecord(tmp_path)
    assert record.entries["git_sha"] == "a"
    assert record.entries["resumed_at"] == ["b", "c"]


def test_a_resume_with_changed_files_is_told(tmp_path, code):
    code("a")
    RunRecord(tmp_path)
    code("a", dirty="yes")
    assert RunRecord(tmp_path, finished=True).entries["git_dirty"] == "no"
    assert RunRecord(tmp_path).entries["git_dirty"] == "yes"
    code("a")
    assert RunRecord(tmp_path).entries["git_dirty"] == "yes"


def test_seconds_add_up_over_resumes(tmp_path, code, monkeypatch):
    code("a")
    clock = iter([0.0, 0.0, 10.0, 100.0, 100.0, 107.0])
    monkeypatch.setattr(provenance.time, "monotonic", lambda: next(clock))
    RunRecord(tmp_path).save()
    RunRecord(tmp_path).save()
    assert json.loads((tmp_path / "run.json").read_text())["wall_seconds"] == 17.0


def test_a_finished_first_stage_is_not_gone_on_with(tmp_path, code):
    code("a", dirty="yes")
    RunRecord(tmp_path / "first")
    code("b")
    first, own = RunRecord(tmp_path / "first", finished=True), RunRecord(tmp_path / "own")
    columns = own.columns(first)
    assert (columns["git_sha"], columns["resumed_at"], columns["git_dirty"]) == ("b", "a", "yes")
    assert columns["wall_seconds"] == own.entries["wall_seconds"] + first.entries["wall_seconds"]


def test_one_commit_is_named_once(tmp_path, code):
    code("a")
    assert RunRecord(tmp_path / "own").columns(RunRecord(tmp_path / "first"))["resumed_at"] is None


def test_a_damaged_record_is_named(tmp_path):
    (tmp_path / "run.json").write_text("{")
    with pytest.raises(InputError, match=r"run\.json: no record of a run"):
        RunRecord(tmp_path)


def test_the_command_names_no_folder_of_this_machine(monkeypatch):
    monkeypatch.setattr("sys.argv", ["x", "run", "dbpedia", "--results-dir", "/home/someone/results"])
    assert provenance.command_line() == "python -m reproductions run dbpedia --results-dir results"
