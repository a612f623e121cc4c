"""The command `fastbert` on tables of every task type: train, predict, evaluate; and what it refuses."""

import json
import random

import numpy as np
import pytest

from fastbert_core import cli, sources
from fastbert_core.data import TaskData
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tsv import Split
from tests.core.small import make_model, make_tokenizer

GOOD, BAD = ["great", "lovely", "fine", "warm"], ["dull", "poor", "weak", "awful"]
OTHER = ["the", "film", "plot", "actor", "and", "a"]
QUICK = ("--backbone", "tiny", "--precision", "fp32", "--epochs", "20", "--rate", "0.004")
QUICK += ("--student-epochs", "2", "--student-rate", "0.01")
TYPES = ("multi-label", "regression", "sequence-labelling")


def row_of(kind, rng, at):
    words = [*rng.choices(OTHER, k=4), f"w{at}"]
    if kind == "sequence-labelling":
        tokens = [rng.choice([*GOOD, *OTHER]) for _ in range(6)] + [f"w{at}"]
        return {"tokens": tokens, "tags": ["B-GOOD" if token in GOOD else "O" for token in tokens]}
    good, bad = rng.randint(0, 3), rng.randint(0, 3)
    words += rng.choices(GOOD, k=good) + rng.choices(BAD, k=bad)
    label = [name for name, count in (("good", good), ("bad", bad)) if count]
    return {"text": " ".join(words), "label": label if kind == "multi-label" else round(2.5 + (good - bad) / 2, 1)}


def write(path, kind, rows=160, seed=1):
    rng = random.Random(seed)
    path.write_text("".join(json.dumps(row_of(kind, rng, at)) + "\n" for at in range(rows)))
    return path


@pytest.fixture(scope="module", params=TYPES)
def trained(request, tmp_path_factory):
    folder = tmp_path_factory.mktemp(request.param)
    data = write(folder / "train.jsonl", request.param)
    test = write(folder / "test.jsonl", request.param, 40, 3)
    words = ["train", str(data), "--type", request.param, "--test", str(test), "--out", str(folder / "model"), *QUICK]
    words += ["--scores", "0", "5"] if request.param == "regression" else []
    assert cli.main(words) == 0
    return request.param, folder


def test_from_a_table_to_predictions(trained, capsys):
    kind, folder = trained
    capsys.readouterr()
    assert cli.main(["evaluate", str(folder / "model"), str(write(folder / "new.jsonl", kind, 60, 2)), "--json"]) == 0
    tables = json.loads(capsys.readouterr().out)
    full = tables["points"][0]
    assert tables["rows"] == 60
    assert full["accuracy"] > tables["majority"]
    low, high = full["accuracy_interval"]
    assert low <= full["accuracy"] <= high
    metric = {"multi-label": "micro_f1", "regression": "pearson", "sequence-labelling": "entity_f1"}[kind]
    assert full[metric] > 50
    (folder / "texts.txt").write_text("the lovely film\na dull awful plot\n")
    words = ["predict", str(folder / "model"), str(folder / "texts.txt"), "--speed", "0", "--probabilities"]
    assert cli.main(words) == 0
    labels = [json.loads(line)["label"] for line in capsys.readouterr().out.splitlines()]
    assert len(labels) == 2
    if kind == "sequence-labelling":
        assert labels == [["O", "B-GOOD", "O"], ["O", "O", "O", "O"]]
    elif kind == "multi-label":
        assert all(set(label) <= {"good", "bad"} for label in labels)
        assert json.loads((folder / "model" / "config.json").read_text())["classifier_init"] == "label-shares"
    else:
        assert labels[0] > labels[1]
        assert json.loads((folder / "model" / "config.json").read_text())["scores"] == [0.0, 5.0]
    card = (folder / "model" / "README.md").read_text()
    assert {"multi-label": "any of 2 labels", "regression": "a score", "sequence-labelling": "tags"}[kind] in card
    assert "one answer for all is right to" in card
    assert json.loads((folder / "model" / "training.json").read_text())["type"] == kind


def test_a_task_of_another_type_is_one_line(tmp_path, monkeypatch, capsys):
    model = make_model(classes=["score"], of_type={"task_type": "regression", "scores": [0.0, 5.0]})
    model.save_pretrained(tmp_path)
    make_tokenizer().save_pretrained(tmp_path)
    rows = Split(["word1", "word2"], None, np.array([0, 7]))
    monkeypatch.setattr(sources, "load_task", lambda task, log: TaskData(task, rows, rows, rows, "here", "0"))
    assert cli.main(["evaluate", str(tmp_path), "reuters-r8"]) == 2
    told = "reuters-r8: found a single-label task of acq, crude, earn, grain, interest, …, expected"
    assert told in capsys.readouterr().err


def test_the_command_knows_every_type():
    assert set(cli.TYPES) == set(TASK_TYPES)
