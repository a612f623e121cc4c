"""The hub is never asked here: data sets in memory with its exact columns and labels stand in for it."""

import http.server
import socket
import threading
import time
from dataclasses import replace
from functools import partial

import datasets
import numpy as np
import pytest

from fastbert_core import hub
from fastbert_core.errors import InputError
from fastbert_core.tasks import TASKS

# Each hub data set's features, and what its labels are called there, in its own order.
TEXT, NUMBER = datasets.Value("string"), datasets.Value("int64")
THUCNEWS = ["education", "entertainment", "fashion", "finance", "game"]
THUCNEWS += ["politic", "society", "sport", "stock", "technology"]
SCHEMAS = {
    "chnsenticorp": {"text": TEXT, "label": datasets.ClassLabel(names=["negative", "positive"])},
    "shopping-review": {"cat": TEXT, "label": NUMBER, "text": TEXT},
    "lcqmc": {"sentence1": TEXT, "sentence2": TEXT, "score": NUMBER},
    "weibo": {"label": NUMBER, "review": TEXT},
    "thucnews": {"text": TEXT, "label": datasets.ClassLabel(names=THUCNEWS)},
    "ag-news": {"text": TEXT, "label": datasets.ClassLabel(names=["World", "Sports", "Business", "Sci/Tech"])},
    "amazon-full": {"class_index": NUMBER, "review_title": TEXT, "review_text": TEXT},
    "dbpedia": {"label": datasets.ClassLabel(names=list(TASKS["dbpedia"].classes)), "title": TEXT, "content": TEXT},
    "yahoo": {
        "id": datasets.Value("int32"),
        "topic": datasets.ClassLabel(names=list(TASKS["yahoo"].classes)),
        "question_title": TEXT,
        "question_content": TEXT,
        "best_answer": TEXT,
    },
    "yelp-full": {
        "label": datasets.ClassLabel(names=["1 star", "2 star", "3 stars", "4 stars", "5 stars"]),
        "text": TEXT,
    },
    "yelp-polarity": {"text": TEXT, "label": datasets.ClassLabel(names=["1", "2"])},
}
# The suite's class of each of the hub's label numbers, where they are not the same numbers.
EXPECTED = {
    "shopping-review": ["negative", "positive"],
    "amazon-full": ["1 star", "2 stars", "3 stars", "4 stars", "5 stars"],
    "thucnews": [*THUCNEWS[:5], "politics", "society", "sports", "stocks", "science"],
}
FIRST_NUMBER = {"amazon-full": 1}  # the others count from 0
ROWS = 56  # four of each class and more: three carved ones leave one behind


def small(name):
    """The task, with carved splits that fit into ROWS rows."""
    task = TASKS[name]
    carve = {split: 3 for split in ("dev", "test") if isinstance(getattr(task.hub, split), int)}
    return replace(task, hub=replace(task.hub, **carve))


def split_names(task):
    return ["train", *(name for name in (task.hub.dev, task.hub.test) if isinstance(name, str))]


def rows_of(name, split):
    """ROWS rows with the hub's columns; every text tells its column, split and row, so that each is different."""
    task, schema = TASKS[name], SCHEMAS[name]
    labels = np.arange(ROWS) % len(task.classes) + FIRST_NUMBER.get(name, 0)
    columns = {column: [f"{column} {split} {row}" for row in range(ROWS)] for column in schema}
    columns[task.hub.label] = labels.tolist()
    return columns | ({"id": list(range(ROWS))} if "id" in schema else {})


def rows_on_the_hub(name):
    """The task's splits as the hub has them, in memory."""
    features = datasets.Features(SCHEMAS[name])
    splits = split_names(TASKS[name])
    return datasets.DatasetDict({split: datasets.Dataset.from_dict(rows_of(name, split), features) for split in splits})


def test_every_task_on_the_hub_has_a_schema_here():
    assert {name for name, task in TASKS.items() if task.hub and not task.group} == set(SCHEMAS)


def check(data, task, name):
    classes = EXPECTED.get(name, task.classes)
    for split in (data.train, data.dev, data.test):
        assert split.labels.dtype == np.int64
        for text, label in zip(split.texts, split.labels, strict=True):
            row = int(text.rpartition(" ")[2])
            assert data.task.classes[label] == classes[row % len(classes)]
    carved = sum(isinstance(size, int) for size in (task.hub.dev, task.hub.test))
    sizes = [ROWS - 3 * carved, *(3 if isinstance(size, int) else ROWS for size in (task.hub.dev, task.hub.test))]
    assert [len(data.train), len(data.dev), len(data.test)] == sizes
    assert not set(data.train.texts) & set(data.test.texts)
    assert not set(data.dev.texts) & set(data.test.texts)
    assert data.source.startswith(f"hub {task.hub.path} (")


@pytest.mark.parametrize("name", SCHEMAS)
def test_the_hubs_schema(name):
    task = small(name)
    check(hub.map_dataset(rows_on_the_hub(name), task), task, name)


def test_chnsenticorp_reads_alike_without_label_names():
    task = small("chnsenticorp")
    numbers = {split: datasets.Dataset.from_dict(rows_of("chnsenticorp", split)) for split in split_names(task)}
    check(hub.map_dataset(datasets.DatasetDict(numbers), task), task, "chnsenticorp")


def memory(task, **train):
    """A data set of one split, in memory."""
    return datasets.DatasetDict({name: datasets.Dataset.from_dict(train) for name in split_names(task)})


def test_label_names_as_strings_are_found_by_name():
    task = replace(small("ag-news"), hub=replace(TASKS["ag-news"].hub, dev=1))
    names = ["Sports", "World", "Sci/Tech", "Business"] * 2
    data = hub.map_dataset(memory(task, text=[f"text {i}" for i in range(8)], label=names), task)
    assert data.test.labels.tolist() == [1, 0, 3, 2] * 2


def test_texts_are_joined_in_order_and_empty_ones_passed_over():
    task = replace(TASKS["yahoo"], hub=replace(TASKS["yahoo"].hub, dev="dev"))
    classes, n = task.classes, 10
    columns = {
        "question_title": ["t "] * n,
        "question_content": ["c", "", None, " "] + ["c"] * 6,
        "best_answer": ["a"] * n,
    }
    data = hub.map_dataset(memory(task, topic=list(classes), **columns), task)
    assert data.train.texts[:4] == ["t c a", "t a", "t a", "t a"]

    task = replace(TASKS["dbpedia"], hub=replace(TASKS["dbpedia"].hub, dev="dev"))
    loaded = memory(task, label=list(task.classes), title=["Title"] * 14, content=[" Content."] * 14)
    assert hub.map_dataset(loaded, task).train.texts[0] == "Title. Content."


def test_of_pairs_which_stay_two_texts_rows_without_one_are_left_out_and_counted(caplog):
    task = replace(TASKS["lcqmc"], hub=replace(TASKS["lcqmc"].hub, dev="test"))
    columns = {"sentence1": ["a", "", "c", "d"], "sentence2": ["x", "b", None, "y"], "score": [0, 1, 1, 1]}
    data = hub.map_dataset(memory(task, **columns), task)
    assert (data.test.texts, data.test.pairs, data.test.labels.tolist()) == (["a", "d"], ["x", "y"], [0, 1])
    assert "2 rows without text left out" in caplog.text


def test_carved_splits_are_seeded_apart_and_in_order():
    task, loaded = small("weibo"), rows_on_the_hub("weibo")
    first, second = hub.map_dataset(loaded, task), hub.map_dataset(loaded, task)
    assert first.sha256 == second.sha256
    rows = [[int(text.rpartition(" ")[2]) for text in s.texts] for s in (first.train, first.dev, first.test)]
    assert sorted(row for part in rows for row in part) == list(range(ROWS))
    assert all(part == sorted(part) for part in rows)


def test_more_carved_rows_than_there_are():
    with pytest.raises(InputError, match="56 rows in train, expected more than the 10000 of test"):
        hub.map_dataset(rows_on_the_hub("weibo"), TASKS["weibo"])


@pytest.mark.parametrize(
    ("name", "labels", "found"),
    [
        ("ag-news", ["World", "Politics"], "'Politics', expected one of World, Sports"),
        ("ag-news", [None, None], "'None', expected one of World, Sports"),
        ("ag-news", [7, 7], "'7', expected one of World, Sports"),
        # The hub's yelp-polarity names its classes "1" and "2"; bare numbers from 0 must not be taken for those.
        ("yelp-polarity", [0, 1], "'0', expected one of"),
    ],
)
def test_unknown_labels_are_refused(name, labels, found):
    with pytest.raises(InputError, match=f"train: found the label {found}"):
        hub.map_dataset(memory(TASKS[name], text=["a", "b"], label=labels), TASKS[name])


def test_a_class_label_that_is_not_given_is_refused():
    features = datasets.Features(SCHEMAS["ag-news"])
    rows = datasets.Dataset.from_dict({"text": ["a"], "label": [-1]}, features)
    with pytest.raises(InputError, match="found the label '-1'"):
        hub.map_dataset(datasets.DatasetDict(train=rows, test=rows), TASKS["ag-news"])


def test_missing_split_and_column():
    loaded = rows_on_the_hub("lcqmc")
    with pytest.raises(InputError, match="C-MTEB/LCQMC: no split 'validation', found train, test"):
        hub.map_dataset(datasets.DatasetDict(train=loaded["train"], test=loaded["test"]), TASKS["lcqmc"])
    with pytest.raises(InputError, match="train: no column 'score', found sentence1, sentence2"):
        hub.map_dataset(loaded.remove_columns("score"), TASKS["lcqmc"])


def test_load_hub_pins_the_revision_and_runs_no_code(monkeypatch):
    asked = []
    loaded = rows_on_the_hub("dbpedia")
    monkeypatch.setattr(hub.datasets, "load_dataset", lambda *args, **kwargs: asked.append((args, kwargs)) or loaded)
    data = hub.load_hub(small("dbpedia"))
    revision = TASKS["dbpedia"].hub.revision
    assert asked == [(("fancyzhx/dbpedia_14", "dbpedia_14"), {"revision": revision})]
    assert data.source == f"hub fancyzhx/dbpedia_14 (dbpedia_14) at {revision}"


def test_load_hub_says_where_book_review_is():
    with pytest.raises(InputError, match=r"book-review is not on the .* github\.com/autoliuweijie/FastBERT"):
        hub.load_hub(TASKS["book-review"])


class ReadError(Exception):
    """As the hub client's own network errors: no OSError."""


@pytest.mark.parametrize("kind", [ConnectionError, ReadError])
def test_load_hub_names_the_data_set_that_cannot_be_loaded(monkeypatch, kind):
    def fail(*args, **kwargs):
        raise kind("no route\nand a second line")

    monkeypatch.setattr(hub.datasets, "load_dataset", fail)
    with pytest.raises(InputError, match=rf"hub fancyzhx/ag_news: cannot be loaded \({kind.__name__}: no route\)$"):
        hub.load_hub(TASKS["ag-news"])


def test_hub_reachable(tmp_path, monkeypatch):
    for name in ("HF_HUB_OFFLINE", "http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(name, raising=False)
    (tmp_path / "good").touch()
    handler = partial(http.server.SimpleHTTPRequestHandler, directory=tmp_path)
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        threading.Thread(target=server.serve_forever, args=[0.01], daemon=True).start()
        endpoint = f"http://127.0.0.1:{server.server_port}"
        monkeypatch.setenv("HF_ENDPOINT", f"{endpoint}/good")
        assert hub.hub_reachable()
        monkeypatch.setenv("HF_HUB_OFFLINE", "1")
        assert not hub.hub_reachable()
        monkeypatch.delenv("HF_HUB_OFFLINE")
        for bad in (f"{endpoint}/bad", "http://127.0.0.1:9", "nonsense"):
            monkeypatch.setenv("HF_ENDPOINT", bad)
            assert not hub.hub_reachable()
        server.shutdown()


def test_a_name_lookup_that_hangs_is_given_up_in_time(monkeypatch):
    monkeypatch.delenv("HF_HUB_OFFLINE", raising=False)
    released = threading.Event()
    monkeypatch.setattr(socket, "getaddrinfo", lambda *args, **kwargs: released.wait(20) and [])
    start = time.monotonic()
    assert not hub.hub_reachable(timeout=0.3)
    assert time.monotonic() - start < 5
    released.set()
