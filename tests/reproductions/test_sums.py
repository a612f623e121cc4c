"""The hashes of published traces: in the form that sha256sum reads, and right whenever a run counts as whole."""

import itertools
import os
import shutil
import subprocess
from pathlib import Path

import pytest
import torch

from fastbert_core.encoder_folder import Backbone
from fastbert_core.errors import InputError
from fastbert_core.files import sha256
from fastbert_core.generated import generate
from fastbert_core.tasks import TASKS
from fastbert_core.trace import save_trace, trace_bytes
from reproductions.job import Job, is_done
from reproductions.publish import publish
from reproductions.settings import settings_for
from reproductions.store import find_traces, load_traces, read_table, trace_path
from reproductions.sums import read_sums, record_sums, sums_path
from tests.factories import make_trace, runs_of

TASK = TASKS["dbpedia"]
RECORD = {"git_sha": "0" * 40, "git_dirty": "no", "resumed_at": None, "date": "2025-01-31", "command": "run"}
RECORD |= {"wall_seconds": 1.0, "stages": None, "device": "cpu", "threads": 2, "versions": "{}"}


def make_run(seed, train_rows, epochs, variant="default"):
    """A job that could be published, and traces as if it had been trained."""
    data = generate(TASK, {"train": 40, "dev": 10, "test": 20})
    settings = settings_for("smoke", TASK, "fastbert", variant, "fp32", seed=seed, train_rows=train_rows)
    job = Job(settings, data, Backbone("tiny", Path(), "b" * 64), torch.device("cpu"))
    shared = {"samples": 20, "classes": 14, "task": TASK.name, "seed": seed}
    shared |= {"variant": variant, "skill": 1 + train_rows / 100}
    traces = [make_trace(**shared), make_trace(split="dev", **shared)]
    traces += [make_trace(split="dev", epoch=e, stage="self-distillation", **shared) for e in range(epochs)]
    for trace in traces:
        trace.metadata["run_id"] = job.run_id
    return job, traces


@pytest.fixture(scope="module")
def old():
    return make_run(7, 40, epochs=3)


@pytest.fixture(scope="module")
def new():
    return make_run(7, 39, epochs=1)


def on_disk(results):
    return {path.relative_to(results / "traces").as_posix(): sha256(path) for path in find_traces(results)}


def test_published_hashes_are_those_of_the_files(tmp_path, old):
    publish(*old, RECORD, tmp_path)
    assert read_sums(tmp_path) == on_disk(tmp_path)
    assert len(read_sums(tmp_path)) == 5
    lines = sums_path(tmp_path).read_text().splitlines()
    assert lines == sorted(lines, key=lambda line: line[66:])


@pytest.mark.skipif(shutil.which("sha256sum") is None, reason="there is no sha256sum")
def test_sha256sum_agrees(tmp_path, old):
    publish(*old, RECORD, tmp_path)
    command, folder = ["sha256sum", "--check", "--strict", "SHA256SUMS"], tmp_path / "traces"
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    path = find_traces(tmp_path)[0]
    path.write_bytes(path.read_bytes()[:-1])
    assert subprocess.run(command, cwd=folder, check=False, capture_output=True).returncode == 1


def test_a_trace_has_the_hash_of_its_file(tmp_path):
    trace = make_trace(20)
    path = trace_path(tmp_path, "book-review", "fastbert", "default", 7, "test")
    record_sums(tmp_path, {path: trace_bytes(trace, path)}, runs_of([trace]))
    save_trace(trace, path)
    assert read_sums(tmp_path) == {"book-review/fastbert-default-seed7-test.npz": sha256(path)}
    assert trace_bytes(trace, path) != trace_bytes(make_trace(20, skill=2), path)


def test_lines_of_other_runs_stay_as_they_are(tmp_path, old, new):
    publish(*make_run(7, 40, epochs=0, variant="labels"), RECORD, tmp_path)
    spoilt = find_traces(tmp_path, variant="labels")[0]
    spoilt.write_bytes(b"changed since")
    before = {name: value for name, value in read_sums(tmp_path).items() if "labels" in name}
    publish(*old, RECORD, tmp_path)
    publish(*new, RECORD, tmp_path)
    after = read_sums(tmp_path)
    assert {name: value for name, value in after.items() if "labels" in name} == before
    assert before[spoilt.relative_to(tmp_path / "traces").as_posix()] != sha256(spoilt)
    assert len(after) == len(before) + 3  # of the new run, and none of the one it took the place of


def test_seeds_that_learnt_from_something_else_give_way(tmp_path, old, new):
    """Without --replace nothing comes this far; with it, no average of the two could be measured."""
    assert publish(*old, RECORD, tmp_path) == []
    assert publish(*make_run(8, 40, epochs=0), RECORD, tmp_path) == []
    assert read_table(tmp_path, "runs")["seed"].tolist() == [7, 8]
    assert publish(*new, RECORD, tmp_path) == [8]
    assert read_table(tmp_path, "runs")["run_id"].tolist() == [new[0].run_id]
    assert read_sums(tmp_path) == on_disk(tmp_path)
    assert len(on_disk(tmp_path)) == 3


@pytest.mark.parametrize("line", ["", "abc  file.npz", f"{'0' * 64} file.npz", f"{'0' * 64}  ", f"{'G' * 64}  a"])
def test_a_line_of_another_form_is_named(tmp_path, line):
    sums_path(tmp_path).parent.mkdir()
    sums_path(tmp_path).write_text(f"{'0' * 64}  book-review/a.npz\n{line}\n")
    with pytest.raises(InputError, match=r"SHA256SUMS, line 2: found .* expected a SHA-256, two spaces and a file"):
        read_sums(tmp_path)


class Killed(BaseException):
    """Ends the process where it stands."""


def killed_at(step, patch):
    """Make the process end before its step-th change of the disk."""
    changes = itertools.count(1)

    def counted(act):
        def change(*arguments, **options):
            if next(changes) == step:
                raise Killed
            return act(*arguments, **options)

        return change

    patch.setattr(Path, "unlink", counted(Path.unlink))
    patch.setattr(os, "replace", counted(os.replace))


def test_a_kill_at_any_point_leaves_no_whole_run_with_wrong_hashes(tmp_path, old, new):
    """One run takes the place of another and is killed before its n-th change of the disk, for every n."""
    publish(*new, RECORD, tmp_path / "straight")
    publish(*old, RECORD, tmp_path / "before")
    whole, before = on_disk(tmp_path / "straight"), on_disk(tmp_path / "before")
    for step in itertools.count(1):
        results = Path(shutil.copytree(tmp_path / "before", tmp_path / f"step{step}"))
        with pytest.MonkeyPatch.context() as patch:
            killed_at(step, patch)
            try:
                publish(*new, RECORD, results)
                break
            except Killed:
                pass
        for job, expected in ((old[0], before), (new[0], whole)):
            if is_done(job, results, replace=True):
                assert read_sums(results) == on_disk(results) == expected
        load_traces(results, read_table(results, "runs"))  # which refuses a trace that no row vouches for
        publish(*new, RECORD, results)
        assert is_done(new[0], results, replace=False)
        assert read_sums(results) == on_disk(results) == whole
    assert step == 5 + 1 + 1 + 3 + 1  # the old traces, runs.csv, SHA256SUMS, the new traces; then none
