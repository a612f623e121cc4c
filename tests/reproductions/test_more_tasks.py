"""A task of each type beside the paper's through every station, at the smallest size; and what they leave alone."""

import dataclasses
from functools import partial

import numpy as np
import pytest

from fastbert_core.data import load_folder
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import RULES
from fastbert_core.generated import generate
from fastbert_core.metrics import at_threshold, dense, judged
from fastbert_core.sweep import every_threshold
from fastbert_core.task_file import read_task_file
from fastbert_core.task_metrics import METRICS
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tasks import PAPER_TASKS, TASKS
from reproductions import cli, plan
from reproductions.measure import groups
from reproductions.rules import written
from reproductions.settings import planned_trainings
from reproductions.statistics import tango, wilson
from reproductions.tables import read_table
from reproductions.task_metrics import FULL, HALF, TOLERATED, WITHIN, task_metrics, thresholds
from tests.factories import load_traces, make_trace

MORE = {name: task for name, task in TASKS.items() if task.group}
OF_TYPES = {"single-label": "trec6", "multi-label": "moods", "regression": "stsb", "sequence-labelling": "conll2003"}
SIXTEEN = """sst2 mrpc rte cola stsb qqp imdb banking77 clinc150 trec6 goemotions reuters90 conll2003 wnut17 weibo-ner
resume-ner"""
MOODS = """
name = "moods"
language = "en"
type = "multi-label"
labels = ["a", "b", "c", "d"]
metrics = ["micro-f1", "macro-f1"]
train = "train.tsv"
dev = "dev.tsv"
test = "test.tsv"
"""


def write(folder, task, data):
    """The splits of a task as its files have them."""
    for name in ("train", "dev", "test"):
        split = getattr(data, name)
        labels = [",".join(str(at) for at, holds in enumerate(row) if holds) for row in split.labels]
        rows = [f"{label}\t{text}\n" for label, text in zip(labels, split.texts, strict=True)]
        (folder / f"{name}.tsv").write_text("label\ttext_a\n" + "".join(rows))


@pytest.fixture(scope="module")
def results(tmp_path_factory, few_draws):
    """What the commands leave: run, then rules and budget, of a task of each type."""
    folder = tmp_path_factory.mktemp("more")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTBERT_RUNS", str(folder / "runs"))
        patch.setattr("reproductions.run.measure", lambda folder: None)  # after each task; here once, of all
        few = {"train": 128, "dev": 100, "test": 100}
        patch.setattr("reproductions.sources.generated.generate", lambda task, rows: generate(task, few))
        patch.setattr(plan, "settings_for", partial(plan.settings_for, fine_tuning_epochs=2, distillation_epochs=2))
        given = ["--profile", "smoke", "--results-dir", str(folder)]
        names = [name for name in OF_TYPES.values() if name in MORE]
        assert cli.main(["run", *names, *given]) == 0
        (folder / "moods.toml").write_text(MOODS)
        task = read_task_file(folder / "moods.toml").task
        write(folder, task, generate(task, few))
        assert cli.main(["run", "--task-file", str(folder / "moods.toml"), *given]) == 0
        assert cli.main(["measure", *given]) == 0
        for command in ("rules", "budget"):
            assert cli.main([command, *names, "moods", *given]) == 0
    return folder / "smoke"


@pytest.mark.smoke
@pytest.mark.parametrize("kind", OF_TYPES)
def test_a_task_of_each_type_runs_to_its_tables(results, kind):
    name = OF_TYPES[kind]
    folder = results / "more" if name in MORE else results
    (trace,) = load_traces(folder, task=name, split="test")
    assert trace.kind.name == kind
    assert len(trace) == 100
    rows = read_table(folder, "task_metrics")
    rows = rows[rows["task"] == name]
    assert set(rows["rule"]) - {"none"} <= set(TASK_TYPES[kind].rules())
    assert TASK_TYPES[kind].base in set(rows["rule"])
    (full,) = rows[(rows["point"] == FULL) & (rows["metric"] == trace.metadata["metrics"][0])].itertuples()
    metric = METRICS[full.metric](trace.predictions[:, -1], trace.labels, trace.words, trace.metadata["classes"])
    assert full.value == pytest.approx(metric, abs=0.005)
    half = rows[(rows["point"] == HALF) & (rows["rule"] == TASK_TYPES[kind].base)]
    assert len(half)
    assert (half["mean_layers"] < 8).all()  # chosen on dev
    for table in ("speed_accuracy", "exit_layers", "uncertainty", "true_macs", "exit_rules"):
        assert name in set(read_table(folder, table)["task"]), table
    for table in ("leaderboard", "budget", "guarantees", "streams"):
        assert name in set(read_table(folder, table)["task"]), table
    assert np.isfinite(read_table(folder, "leaderboard").query("task == @name")["area"]).all()


@pytest.mark.smoke
def test_the_paper_s_tables_are_of_single_labels(results):
    assert set(read_table(results / "more", "table2")["task"]) == {"trec6"}
    assert set(read_table(results / "more", "luha")["task"]) == {"trec6"}
    assert not (results / "table2.csv").exists()
    assert groups(results) == [results, results / "more"]


def test_every_task_names_metrics_of_its_type():
    assert set(MORE) == {*SIXTEEN.split()}
    for task in MORE.values():
        assert task.metrics
        assert set(task.metrics) <= set(TASK_TYPES[task.type].metrics) <= set(METRICS)
        assert task.folder.startswith("more/")
        assert planned_trainings("standard", task) == ["self-distillation"]
    assert all(not task.group for task in PAPER_TASKS.values())


@pytest.mark.parametrize("name", MORE)
def test_generated_text_has_every_split_and_labels_of_the_type(name):
    task = MORE[name]
    rows = {"train": max(40, len(task.classes)), "dev": 10, "test": 10}
    data = generate(task, rows)
    assert [len(data.train), len(data.dev), len(data.test)] == list(rows.values())
    assert data.sha256 == generate(task, rows).sha256
    kind = TASK_TYPES[task.type]
    for text, label in zip(data.train.texts, data.train.labels, strict=True):
        kind.check_text(text, label, "generated")
    if task.type == "sequence-labelling":
        assert {tag for tags in data.train.labels for tag in tags} > {0}
    assert kind.known(data.train.labels).all()


def test_missing_splits_are_carved_out_of_train_and_dev_takes_the_place_of_test(tmp_path):
    folder = tmp_path / "more" / "rte"
    folder.mkdir(parents=True)
    for name, count in (("train", 50), ("dev", 8)):
        rows = "".join(f"{row % 2}\t{name} {row}\tsecond\n" for row in range(count))
        (folder / f"{name}.tsv").write_text(f"label\ttext_a\ttext_b\n{rows}")
    data = load_folder(TASKS["rte"], tmp_path)
    assert [len(data.train), len(data.dev), len(data.test)] == [40, 10, 8]
    assert not set(data.train.texts) & set(data.dev.texts)
    assert all(text.startswith("dev") for text in data.test.texts)
    assert data.sha256 == load_folder(TASKS["rte"], tmp_path / "more").sha256
    with pytest.raises(InputError, match="no such folder, expected the TSV files of task sst2"):
        load_folder(TASKS["sst2"], tmp_path)


def test_a_shallow_training_of_another_type_is_refused(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("FASTBERT_RUNS", str(tmp_path / "runs"))
    given = ["--profile", "smoke", "--results-dir", str(tmp_path), "--training", "distilbert-3"]
    assert cli.main(["run", "stsb", *given]) == 2
    error = capsys.readouterr().err
    assert (
        "stsb: found distilbert-3, which makes a shallow model, expected one with exits, as the task is regression"
        in error
    )


def test_what_is_undefined_is_empty_and_not_0():
    test, dev = (make_trace(samples=120, split=split) for split in ("test", "dev"))
    for trace in (test, dev):
        trace.metadata["metrics"] = ["matthews", "accuracy"]
        trace.probabilities[..., 0], trace.probabilities[..., 1] = 0.9, 0.1  # one answer for all
    rows = task_metrics([test, dev])
    matthews = rows[rows["metric"] == "matthews"]
    assert matthews[["value", "value_low", "lost"]].isna().all(axis=None)
    assert rows[rows["metric"] == "accuracy"]["value"].notna().all()
    assert set(rows["point"]) == {FULL, HALF}  # no threshold is within a loss that is not known


@pytest.mark.parametrize("seeds", [(7,), (7, 8)])
def test_a_loss_of_answers_that_are_right_or_wrong_has_a_width_where_none_differs(seeds):
    traces = [make_trace(task="rte", split=split, seed=seed) for seed in seeds for split in ("test", "dev")]
    for trace in traces:
        trace.metadata["metrics"] = ["accuracy", "macro-f1"]
        trace.probabilities[:, :-1] = trace.probabilities[:, -1:]  # every exit answers what the last does
    rows = task_metrics(traces).query("point == @HALF").set_index("metric")
    none = tango(0, 0, len(traces[0]))
    assert len(rows) > 2
    assert (rows["lost"] == 0).all()
    np.testing.assert_allclose(rows.loc[["accuracy"], "lost_low"].astype(float), 100 * none.low)
    np.testing.assert_allclose(rows.loc[["accuracy"], "lost_high"].astype(float), 100 * none.high)
    assert (rows.loc[["macro-f1"], ["lost_low", "lost_high"]] == 0).all(axis=None)  # no share of samples


@pytest.mark.parametrize("metric", ["accuracy", "macro-f1"])
@pytest.mark.parametrize("rule", ["entropy", "vote"])
def test_the_fastest_within_a_loss_is_the_last_before_the_first_threshold_that_loses_more(metric, rule):
    dev = make_trace(150, 5, skill=0.8, split="dev")
    full = METRICS[metric](dense(dev).answers, dev.labels, None, dev.metadata["classes"])
    expected = None
    for threshold in np.unique(written(every_threshold(judged(dev, rule)[0]))):
        answers = at_threshold(dev, threshold, rule).answers
        if METRICS[metric](answers, dev.labels, None, dev.metadata["classes"]) < full - TOLERATED:
            break
        expected = threshold
    assert expected > 0
    assert thresholds(dev, RULES[rule], metric)[WITHIN] == expected


def test_accuracies_have_the_intervals_of_the_other_tables():
    traces = [make_trace(task="rte", split=split) for split in ("test", "dev")]
    for trace in traces:
        trace.metadata["metrics"] = ["accuracy"]
    test = traces[0]
    rows = task_metrics(traces).set_index(["point", "rule"])
    full, half = rows.loc[(FULL, "none")], rows.loc[(HALF, "entropy")]
    assert (full["value_low"], full["value_high"]) == pytest.approx(
        100 * np.array(wilson(test.correct[:, -1].sum(), 300))
    )
    right = at_threshold(test, half["threshold"], "entropy").correct
    only = (test.correct[:, -1] & ~right).sum(), (right & ~test.correct[:, -1]).sum()
    assert half["lost"] == pytest.approx(100 * (only[0] - only[1]) / 300)
    assert (half["lost_low"], half["lost_high"]) == pytest.approx(100 * np.array(tango(*only, 300)))


def test_accuracy_of_words_is_drawn_by_sentence():
    of_words = [make_trace(task="wnut17", split=split) for split in ("test", "dev")]
    metadata = {"task_type": "sequence-labelling", "metrics": ["accuracy"], "classes": ["O", "B-PER"]}
    three = np.full(100, 3, np.int32)
    traces = [
        dataclasses.replace(trace, tokens=trace.tokens[:100], words=three, metadata=trace.metadata | metadata)
        for trace in of_words
    ]
    (full,) = task_metrics(traces).query("point == @FULL").itertuples()
    right = traces[0].predictions[:, -1] == traces[0].labels
    assert full.value == pytest.approx(100 * right.mean())
    assert (full.value_low, full.value_high) != pytest.approx(100 * np.array(wilson(right.sum(), 300)), abs=1e-6)
    error = 100 * right.reshape(100, 3).mean(axis=1).std() / 10
    assert full.value_high - full.value_low == pytest.approx(2 * 1.96 * error, rel=0.15)
