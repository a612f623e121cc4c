import json
import os
import subprocess

import pytest
import torch

from fastbert_core.errors import InputError
from reproductions import provenance
from reproductions.provenance import RunRecord

CPU = torch.device("cpu")
STAGES = "fp32", ["fine-tuning", "self-distillation"]


@pytest.fixture
def code(monkeypatch):
    """Sets the commit that the code claims to be at, whether it is dirty, and the device it runs on."""

    def at(sha, dirty="no", device="cpu (a)", arithmetic="AVX2, 2 threads"):
        known = {"device": device, "arithmetic": arithmetic, "threads": 2, "versions": "{}"}
        monkeypatch.setattr(provenance, "git_state", lambda: {"git_sha": sha, "git_dirty": dirty})
        monkeypatch.setattr(provenance, "machine", lambda *_: known)

    return at


def worked(folder):
    """A process that goes on with the run in `folder` and keeps something of it."""
    record = RunRecord(folder, CPU)
    record.save()
    return record


def test_a_resumed_run_keeps_its_first_commit_and_names_the_others(tmp_path, code):
    for sha, device in (("a", "cpu (a)"), ("a", "gpu"), ("b", "cpu (a)"), ("a", "gpu"), ("c", "cpu (b)")):
        code(sha, device=device)
        record = worked(tmp_path)
    assert record.entries["git_sha"] == "a"
    assert record.entries["resumed_at"] == ["b", "c"]
    assert record.entries["device"] == "cpu (a);gpu;cpu (b)"


def test_a_resume_with_changed_files_is_told(tmp_path, code):
    code("a")
    worked(tmp_path)
    code("a", dirty="yes")
    assert worked(tmp_path).entries["git_dirty"] == "yes"
    code("a")
    assert worked(tmp_path).entries["git_dirty"] == "yes"


def test_who_finds_everything_done_leaves_no_mark(tmp_path, code):
    code("a")
    worked(tmp_path)
    before = (tmp_path / "run.json").read_bytes()
    code("b", dirty="yes", device="gpu")
    columns = RunRecord(tmp_path, CPU).columns(RunRecord(tmp_path, CPU), *STAGES)
    assert (columns["git_sha"], columns["resumed_at"], columns["git_dirty"]) == ("a", None, "no")
    assert columns["device"] == "cpu (a)"
    assert (tmp_path / "run.json").read_bytes() == before


def test_seconds_add_up_over_resumes(tmp_path, code, monkeypatch):
    code("a")
    clock = iter([0.0, 10.0, 100.0, 107.0])
    monkeypatch.setattr(provenance.time, "monotonic", lambda: next(clock))
    worked(tmp_path)
    worked(tmp_path)
    assert json.loads((tmp_path / "run.json").read_text())["wall_seconds"] == 17.0


def test_a_run_names_the_code_and_the_device_of_its_first_stage(tmp_path, code):
    code("a", dirty="yes", device="gpu")
    first = worked(tmp_path / "first")
    code("b")
    own = worked(tmp_path / "own")
    columns = own.columns(first, *STAGES)
    assert (columns["git_sha"], columns["resumed_at"], columns["git_dirty"]) == ("b", "a", "yes")
    assert columns["device"] == "gpu;cpu (a)"
    assert columns["wall_seconds"] == own.entries["wall_seconds"] + first.entries["wall_seconds"]


def test_each_stage_names_the_arithmetic_that_computed_it(tmp_path, code):
    """The same processor, and other bits: by instruction set, and by threads."""
    code("a", arithmetic="AVX2, 2 threads")
    first = worked(tmp_path / "first")
    code("a", arithmetic="AVX512 avx512_bf16, 1 thread")
    worked(tmp_path / "own")
    code("a", arithmetic="AVX2, 1 thread")
    own = worked(tmp_path / "own")
    assert own.columns(first, "bf16", ["fine-tuning", "shallow"])["stages"] == (
        "fine-tuning: bf16, AVX2, 2 threads; shallow: bf16, AVX512 avx512_bf16, 1 thread and AVX2, 1 thread"
    )
    on_labels = own.columns(first, "fp32", ["labels"])
    assert on_labels["stages"] == "labels: fp32, AVX2, 2 threads"
    assert "arithmetic" not in on_labels
    assert "arithmetic" in own.entries  # which a resume goes on with


def test_the_machine_tells_its_arithmetic(monkeypatch):
    monkeypatch.setattr(provenance, "instruction_set", lambda device: "AVX2")
    threads = iter([1, 2])
    monkeypatch.setattr(torch, "get_num_threads", lambda: next(threads))
    assert [provenance.machine(CPU)["arithmetic"] for _ in range(2)] == ["AVX2, 1 thread", "AVX2, 2 threads"]


def test_results_and_a_users_files_do_not_make_the_code_dirty(tmp_path, monkeypatch):
    def git(*arguments):
        identity = ["-c", "user.name=a", "-c", "user.email=a@example.org"]
        subprocess.run(["git", "-C", str(tmp_path), *identity, *arguments], check=True, capture_output=True)

    module = tmp_path / "reproductions" / "provenance.py"
    for path in (module, tmp_path / "results" / "runs.csv"):
        path.parent.mkdir()
        path.write_text("a")
    git("init")
    git("add", ".")
    git("commit", "-m", "a")
    monkeypatch.setattr(provenance, "__file__", str(module))
    (tmp_path / "results" / "runs.csv").write_text("b")
    (tmp_path / "my.toml").write_text("a")
    assert provenance.git_state()["git_dirty"] == "no"
    (module.parent / "new.py").write_text("a")
    assert provenance.git_state()["git_dirty"] == "yes"
    installed = tmp_path / "site-packages" / "reproductions" / "provenance.py"
    monkeypatch.setattr(provenance, "__file__", str(installed))  # in somebody else's repository
    installed.parent.mkdir(parents=True)
    assert provenance.git_state() == {"git_sha": None, "git_dirty": None}


def test_a_folder_without_git_has_no_commit_whether_or_not_git_is_installed(tmp_path, monkeypatch):
    monkeypatch.setenv("GIT_CEILING_DIRECTORIES", str(tmp_path.parent))
    monkeypatch.setattr(provenance, "__file__", str(tmp_path / "reproductions" / "provenance.py"))
    for path in (os.environ["PATH"], str(tmp_path)):
        monkeypatch.setenv("PATH", path)
        assert provenance.git_state() == {"git_sha": None, "git_dirty": None}


@pytest.mark.parametrize("content", ["{", "[]", '{"git_sha": "a", "resumed_at": [], "device": "cpu"}'])
def test_a_damaged_record_is_named(tmp_path, content):
    (tmp_path / "run.json").write_text(content)
    with pytest.raises(InputError, match=r"run\.json: no record of a run"):
        RunRecord(tmp_path, CPU)


def test_the_command_names_no_folder_of_this_machine(monkeypatch):
    options = ["--results-dir", "/home/someone/results", "--data-dir=/home/someone/a=b", "--seed=8", "--replace"]
    monkeypatch.setattr("sys.argv", ["x", "run", "dbpedia", *options])
    told = "--results-dir results --data-dir=a=b --seed=8 --replace"
    assert provenance.command_line() == f"python -m reproductions run dbpedia {told}"
