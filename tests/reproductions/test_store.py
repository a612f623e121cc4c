"""The runs of a results folder: whole or not there, and refused in one line where one is not in order."""

import dataclasses
import itertools
import shutil
from pathlib import Path

import numpy as np
import pytest

from fastbert_core.errors import InputError
from fastbert_core.files import remove_partial, sha256
from fastbert_core.trace import trace_bytes
from reproductions.columns import TABLES
from reproductions.store import find_runs, published, put_run, run_folder
from reproductions.tables import read_table
from tests.factories import BACKBONE, change_run, load_traces, make_task, make_trace, run_row, store, trace_file
from tests.reproductions.own_task import refusal

KEY = {"task": "book-review", "backbone": BACKBONE, "training": "self-distillation", "seed": 7}


def test_a_run_comes_back_as_it_was_put(tmp_path):
    trace = make_trace(30)
    put_run(tmp_path, row := run_row(trace, resumed_at="e" * 40), [trace, make_trace(10, split="dev")])
    (run,) = find_runs(tmp_path)
    assert run.folder == run_folder(tmp_path, KEY)
    assert run.folder.relative_to(tmp_path).as_posix() == (
        "traces/book-review/google-bert--bert-base-chinese-self-distillation-seed7"
    )
    assert list(run.row) == list(TABLES["runs"])
    assert {name: value for name, value in run.row.items() if row[name] is not None} == {
        name: value for name, value in row.items() if value is not None
    }
    assert run.sums == {name: sha256(run.folder / name) for name in ("dev.npz", "test.npz")}
    (loaded,) = run.traces(split="test")
    assert np.array_equal(loaded.probabilities, trace.probabilities)
    assert loaded.metadata == trace.metadata


@pytest.mark.parametrize(
    "change",
    [
        *({"task": name} for name in ("../x", "/x", "", "..", "a\0", "x\n")),
        *({"backbone": "../x"}, {"training": "a/b"}, {"training": "\0"}, {"seed": "7/../../x"}),
    ],
)
def test_no_key_names_a_run_elsewhere(tmp_path, change):
    with pytest.raises(InputError, match="found no safe name, expected <task>/<backbone>-<training>-seed<k>"):
        run_folder(tmp_path, KEY | change)


def test_no_link_leads_out_of_the_results(tmp_path):
    other, results = store(tmp_path / "other", [make_trace(5)]), tmp_path / "results"
    (results / "traces").mkdir(parents=True)
    (results / "traces" / "book-review").symlink_to(other / "traces" / "book-review")
    (results / "runs.csv").symlink_to(other / "runs.csv")
    for action in (find_runs, lambda folder: read_table(folder, "runs"), lambda folder: run_folder(folder, KEY)):
        assert "found a way out of" in refusal(action, results)
    (tmp_path / "link").symlink_to(other)
    assert len(find_runs(tmp_path / "link")) == 1  # where the user points, a link is as good as a folder


def test_traces_are_found_by_what_they_are_of(tmp_path):
    store(tmp_path, make_task(samples=5))
    assert len(load_traces(tmp_path)) == 17
    tests = load_traces(tmp_path, split="test")
    assert [trace.metadata["training"] for trace in tests] == [
        *("authors", "distilbert-1", "distilbert-3", "distilbert-6", "labels", "reverse-kl", "self-distillation")
    ]
    assert [trace.metadata["epoch"] for trace in load_traces(tmp_path, split="dev") if "epoch" in trace.metadata] == [
        *range(9)
    ]
    assert len(load_traces(tmp_path, split="dev", epoch=None)) == 1
    assert load_traces(tmp_path, task="dbpedia") == []


@pytest.mark.parametrize("stage", [None, "other", "missing"])
def test_an_epoch_of_no_stage_is_refused(tmp_path, stage):
    trace = make_trace(20, split="dev", epoch=1, stage=stage)
    if stage == "missing":
        del trace.metadata["stage"]
    store(tmp_path, [trace])
    message = refusal(load_traces, tmp_path)
    assert "epoch-1.npz: found stage " in message
    assert message.endswith("expected one of fine-tuning, self-distillation")


@pytest.mark.parametrize(
    ("options", "expected"),
    [
        ({"layers": [1, 2, 12]}, r"found layers \[1, 2, 12\], expected \[1, 2, 3"),
        ({"layers": [12]}, r"found layers \[12\], expected \[1, 2, 3"),
        ({"split": "dev", "epoch": 1, "stage": "fine-tuning"}, r"found layers \[1, 2, .* expected \[12\]"),
        ({"split": "dev", "epoch": 4, "stage": "self-distillation", "layers": [12]}, "expected .1, 2"),
        ({"training": "distilbert-3", "layers": [1, 12]}, r"found layers \[1, 12\], expected \[12\]"),
    ],
)
def test_a_trace_with_missing_layers_is_refused(tmp_path, options, expected):
    store(tmp_path, [make_trace(20, **options)])
    with pytest.raises(InputError, match=expected):
        load_traces(tmp_path)


def test_a_test_set_must_be_whole(tmp_path):
    store(tmp_path, [make_trace(20)])
    change_run(tmp_path, {"test_rows": 21})
    assert refusal(load_traces, tmp_path).endswith("found 20 samples, expected the 21 test_rows of run.json")


@pytest.mark.parametrize("spoil", [lambda content: content[:-200], lambda content: content + b" ", lambda content: b""])
def test_a_trace_that_is_not_as_it_was_published_is_refused_by_name(tmp_path, spoil):
    store(tmp_path, [make_trace(20)])
    path = trace_file(tmp_path)
    path.write_bytes(spoil(path.read_bytes()))
    assert refusal(load_traces, tmp_path) == f"{path}: found content that does not match its sha256 in run.json"


@pytest.mark.parametrize(
    ("content", "expected"),
    [
        (b"{", "expected a run's record"),
        (b"\xff", "expected a run's record"),
        (b"[" * 100_000, "expected a run's record"),
        (b"[]", "found a JSON list, expected a run's record"),
        (b"{}", "backbone, backbone_sha256"),
    ],
)
def test_a_file_that_is_no_record_is_named(tmp_path, content, expected):
    store(tmp_path, [make_trace(20)])
    path = trace_file(tmp_path, "run.json")
    path.write_bytes(content)
    message = refusal(find_runs, tmp_path)
    assert message.startswith(f"{path}: found ")
    assert expected in message


@pytest.mark.parametrize(
    ("changes", "expected"),
    [
        ({"profile": "quick"}, "profile: found quick, expected one of smoke, standard, packaged, paper"),
        ({"train_rows": 0}, "train_rows: found 0, expected a whole number of at least 1"),
        ({"hyperparameters": [1]}, "hyperparameters: found [1], expected a JSON object"),
        ({"seed": 8}, "found the run of google-bert--bert-base-chinese-self-distillation-seed8 of book-review, exp"),
        ({"traces": {"../test.npz": "0"}}, "found traces {'../test.npz': '0'}, expected the SHA-256 of test.npz"),
        ({"more": 1}, "found more missing or unknown, expected a run's record"),
    ],
)
def test_a_record_that_was_tampered_with_is_refused(tmp_path, changes, expected):
    store(tmp_path, [make_trace(20)])
    change_run(tmp_path, changes)
    assert refusal(find_runs, tmp_path).startswith(f"{trace_file(tmp_path, 'run.json')}: {expected}")


class Killed(BaseException):
    """Ends the process where it stands."""


def killed_at(step, patch):
    """Make the process end before its step-th change of a name on the disk."""
    changes, act = itertools.count(1), Path.rename

    def change(*arguments):
        if next(changes) == step:
            raise Killed
        return act(*arguments)

    patch.setattr(Path, "rename", change)


def test_a_kill_at_any_point_leaves_whole_runs_alone(tmp_path):
    """One run takes the place of another and of its other seed, and is killed before its n-th change, for every n."""
    old, other, new = make_trace(20), make_trace(20, seed=8), make_trace(20, skill=2)
    before = store(tmp_path / "before", [old, other])
    row = run_row(new, run_id="newer", train_rows=9)
    for step in itertools.count(1):
        results = Path(shutil.copytree(before, tmp_path / f"step{step}"))
        instead = [run.folder for run in find_runs(results)]
        with pytest.MonkeyPatch.context() as patch:
            killed_at(step, patch)
            try:
                put_run(results, row, [new], instead)
                break
            except Killed:
                pass
        assert {run.row["run_id"] for run in find_runs(results)} <= {t.metadata["run_id"] for t in (old, other)}
        load_traces(results)  # which refuses what is not whole
        put_run(results, row, [new], instead)
        assert [run.row["run_id"] for run in find_runs(results)] == ["newer"]
    assert step == 4  # two old folders, the new one; then none
    assert [run.row["run_id"] for run in find_runs(results)] == ["newer"]
    remove_partial(results)
    assert {path.name for path in results.iterdir()} == {"traces", "runs.csv"}


def test_of_what_is_published_only_fastberts_traces_keep_the_scale_and_the_fine_steps_and_only_seed_7_its_epochs():
    traces = [make_trace(5), make_trace(5, split="dev"), make_trace(5, split="dev", epoch=1, stage="self-distillation")]
    traces = [dataclasses.replace(trace, logsumexp=np.ones((5, 12), np.float32)) for trace in traces]
    assert published(traces, {"training": "self-distillation", "seed": 7}) == traces
    assert published(traces, {"training": "self-distillation", "seed": 8}) == traces[:2]
    raw = np.random.default_rng(0).dirichlet([1, 1], size=(5, 12)).astype(np.float32)
    traces = [dataclasses.replace(trace, probabilities=raw) for trace in traces[:2]]
    labels = published(traces, {"training": "labels", "seed": 7})
    assert [trace.logsumexp for trace in labels] == [None, None]
    for trace, kept in zip(traces, labels, strict=True):
        np.testing.assert_array_equal(kept.predictions, trace.predictions)
        assert 0 < np.abs(kept.probabilities - trace.probabilities).max() <= 1e-3
        assert np.abs(kept.uncertainties - trace.uncertainties).max() <= 1e-3
        assert len(trace_bytes(kept, Path("kept"))) < len(trace_bytes(trace, Path("trace")))
    assert [trace_bytes(trace, Path("again")) for trace in published(labels, {"training": "labels", "seed": 7})] == [
        trace_bytes(trace, Path("kept")) for trace in labels
    ]
