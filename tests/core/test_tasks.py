import os
from pathlib import Path
from threading import Thread

import pytest

from fastbert_core.errors import InputError
from fastbert_core.task_file import read_task_file
from fastbert_core.tasks import PAPER_TASKS

NAMES = (
    "chnsenticorp book-review shopping-review lcqmc weibo thucnews ag-news amazon-full dbpedia yahoo yelp-full "
    "yelp-polarity"
)
CLASSES = dict(zip(NAMES.split(), (2, 2, 2, 2, 2, 10, 4, 5, 14, 10, 5, 2), strict=True))


def test_the_twelve_tasks_in_the_order_of_the_paper():
    assert " ".join(PAPER_TASKS) == NAMES
    assert {name: len(task.classes) for name, task in PAPER_TASKS.items()} == CLASSES
    assert [name for name, task in PAPER_TASKS.items() if task.pair] == ["lcqmc"]
    assert [task.language for task in PAPER_TASKS.values()] == ["zh"] * 6 + ["en"] * 6
    assert PAPER_TASKS["dbpedia"].classes[0] == "Company"


def test_only_shopping_review_has_positive_first():
    polar = {name: task.classes for name, task in PAPER_TASKS.items() if "positive" in task.classes}
    assert polar.pop("shopping-review") == ("positive", "negative")
    assert len(polar) == 4
    assert set(polar.values()) == {("negative", "positive")}


# What else is read, and how, tests/fuzz/test_task_files.py holds against a second reading.
TOML = """
name = "mine"
language = "en"
labels = ["no", "yes"]
train = "train.tsv"
dev = "sub/dev.tsv.gz"
test = "/absolute/test.tsv"
"""
REGRESSION = TOML.replace('labels = ["no", "yes"]', 'type = "regression"')


def write(folder, text):
    path = folder / "mine.toml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return path


def test_a_regression_has_scores_in_the_place_of_labels(tmp_path):
    task = read_task_file(write(tmp_path, REGRESSION + "scores = [0, 5]\n")).task
    assert (task.type, task.scores, task.classes) == ("regression", (0, 5), ("score",))


def test_task_file_backbone_is_a_folder_beside_it_or_a_hub_id(tmp_path):
    path = write(tmp_path, TOML + 'backbone = "encoder"\n')
    assert read_task_file(path).backbone == "encoder"
    (tmp_path / "encoder").mkdir()
    assert read_task_file(path).backbone == tmp_path / "encoder"


@pytest.mark.parametrize(
    ("named", "folder"),
    [
        ("/models/bertt", "/models/bertt"),
        ("../models/bert", "HERE/../models/bert"),
        ("~/models/bert", "HOME/models/bert"),
        ("./bert/model.safetensors", "HERE/bert/model.safetensors"),
        ("models/en/bert", "HERE/models/en/bert"),
        ("google-bert/bert-base-uncased", None),
        ("bert-base-uncased", None),
    ],
)
def test_what_can_be_no_hub_id_is_a_folder(tmp_path, monkeypatch, named, folder):
    monkeypatch.setenv("HOME", "/home/me")
    found = read_task_file(write(tmp_path, TOML + f'backbone = "{named}"\n')).backbone
    assert found == (
        named if folder is None else Path(folder.replace("HERE", str(tmp_path)).replace("HOME", "/home/me"))
    )


def test_a_task_files_paths_may_begin_with_the_home_folder(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", "/home/me")
    found = read_task_file(write(tmp_path, TOML.replace("train.tsv", "~/train.tsv").replace("sub/", "~\\u0000/")))
    assert (found.train, found.dev) == (Path("/home/me/train.tsv"), tmp_path / "~\0/dev.tsv.gz")


def test_a_task_file_may_begin_with_a_byte_order_mark(tmp_path):
    assert read_task_file(write(tmp_path, "\ufeff" + TOML)) == read_task_file(write(tmp_path, TOML))


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        (TOML + "epoch = 3\n", "unknown key 'epoch'"),
        (TOML + 'metrics = ["f1", "f2"]\n', "metrics: found the metric 'f2', expected one of accuracy, f1,"),
        (TOML + "epochs = 0\n", "epochs is 0, expected a whole number from 1"),
        (TOML + f"epochs = {'9' * 5000}\n", "expected a TOML file"),
        (TOML + "seed = true\n", "seed is True, expected a whole number from 0"),
        (TOML + "max_tokens = 64.0\n", "max_tokens is 64.0, expected a whole number from 1"),
        (TOML + "rate = 2\n", "rate is 2, expected a number between 0 and 1"),
        (TOML + "student_rate = nan\n", "student_rate is nan, expected a number between 0 and 1"),
        (TOML.replace('dev = "sub/dev.tsv.gz"', ""), "no key 'dev'"),
        (TOML.replace('"train.tsv"', "3"), "train is 3, expected a str"),
        (TOML.replace('["no", "yes"]', '"no"'), "labels is 'no', expected a list"),
        (TOML.replace('["no", "yes"]', "[0, 1]"), r"labels is \[0, 1\], expected a list of strings"),
        (TOML.replace('["no", "yes"]', '["no"]'), "at least two"),
        (TOML.replace('["no", "yes"]', '["a", "a"]'), "of which a stand twice, expected at least two, all different"),
        (TOML.replace('["no", "yes"]', '["a", " "]'), "none empty"),
        (TOML.replace('["no", "yes"]', r'["a", "b\nc"]'), "printable"),
        (TOML.replace('"mine"', '"dbpedia"'), "name is 'dbpedia'"),
        (TOML.replace('"mine"', '"../mine"'), "task name"),
        (TOML.replace('"en"', '"de"'), "language 'de'"),
        (TOML + 'pair = "yes"\n', "pair is 'yes', expected a bool"),
        (TOML + "pair\n", "expected a TOML file"),
        (TOML + 'type = "x"\n', "type is 'x', expected one of multi-label, regression, "),
        (REGRESSION, "found no scores, expected scores in the place of labels with type regression"),
        (TOML + 'type = "regression"\nscores = [0, 5]\n', "found scores, expected scores in the place of labels"),
        (TOML + 'type = "multi-label"\nscores = [0, 5]\n', "found scores, expected scores in the place of labels"),
        (REGRESSION + "scores = [5, 0]\n", r"scores is \[5, 0\], expected the least and the largest score"),
        (REGRESSION + "scores = [0, inf]\n", r"scores is \[0, inf\], expected the least and the largest score"),
        (REGRESSION + "scores = [0, 1, 2]\n", r"scores is \[0, 1, 2\], expected the least and the largest score"),
        (b"name = '\xff'", "expected a TOML file"),
        ("name = " + "[" * 100_000, "expected a TOML file"),
    ],
)
def test_bad_task_files_name_file_and_key(tmp_path, text, reason):
    path = write(tmp_path, text)
    with pytest.raises(InputError, match=reason) as caught:
        read_task_file(path)
    assert str(caught.value).startswith(f"{path}: ")
    assert "\n" not in str(caught.value)


def test_a_task_through_a_pipe_is_relative_to_the_folder_one_is_in(tmp_path, monkeypatch):
    (tmp_path / "encoder").mkdir()
    monkeypatch.chdir(tmp_path)
    reading, writing = os.pipe()
    with open(writing, "w") as file:
        file.write(TOML + 'backbone = "encoder"\n')
    try:
        found = read_task_file(f"/dev/fd/{reading}")
    finally:
        os.close(reading)
    assert (found.train, found.dev, found.backbone) == (Path("train.tsv"), Path("sub/dev.tsv.gz"), Path("encoder"))


def test_a_task_in_a_named_pipe_is_relative_to_its_folder(tmp_path):
    os.mkfifo(tmp_path / "my.toml")
    Thread(target=(tmp_path / "my.toml").write_text, args=(TOML,), daemon=True).start()
    assert read_task_file(tmp_path / "my.toml").train == tmp_path / "train.tsv"


def test_missing_task_file(tmp_path):
    for path in (tmp_path, tmp_path / "none.toml", tmp_path / ("x" * 5000)):
        with pytest.raises(InputError, match="no such task file"):
            read_task_file(path)
