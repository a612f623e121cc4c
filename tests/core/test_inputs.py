"""Columns, classes and splits of any labelled text."""

import datasets
import numpy as np
import pandas as pd
import pytest

from fastbert_core.columns import Columns, choose_columns
from fastbert_core.data import TaskData
from fastbert_core.errors import InputError
from fastbert_core.inputs import (
    classes_of,
    of_task,
    prepare,
    read_rows,
    rows_for,
    rows_of_task,
)
from fastbert_core.reading import read_tables
from fastbert_core.records import Records
from fastbert_core.task_types import TASK_TYPES, UNLABELLED
from fastbert_core.tasks import Task
from fastbert_core.tsv import Split


def of(*columns):
    return Records("x.csv", columns, iter(()))


def table(n=60, **more):
    return {"text": [f"row {at}" for at in range(n)], "label": [("no", "yes")[at % 2] for at in range(n)]} | more


@pytest.mark.parametrize(
    ("columns", "found"),
    [
        (("id", "Review", "Sentiment"), ("Review", None, "Sentiment")),
        (("label", "text_a"), ("text_a", None, "label")),
        (("label", "text_a", "text_b"), ("text_a", "text_b", "label")),
        (("premise", "hypothesis", "gold_label"), ("premise", "hypothesis", "gold_label")),
        (("title", "content", "category"), ("content", None, "category")),
        (("what", "class"), ("what", None, "class")),
        (("label", "category", "text"), ("text", None, "label")),
    ],
)
def test_usual_names_are_found(columns, found):
    assert choose_columns(of(*columns)) == found


def test_named_columns_are_taken_and_others_refused_with_the_remedy():
    assert choose_columns(of("a", "b", "c"), text="c", label="a") == ("c", None, "a")
    assert choose_columns(of("a"), labelled=False) == ("a", None, None)
    for given, message in [
        ({"text": "z"}, "x.csv: found the columns 'a', 'b', 'c', expected 'z', as --text says"),
        ({}, "expected one that holds the class, such as label; --label COLUMN names it"),
        ({"label": "a"}, "expected one that holds the text, such as text; --text COLUMN names it"),
    ]:
        with pytest.raises(InputError, match=message):
            choose_columns(of("a", "b", "c"), **given)


@pytest.mark.parametrize(
    ("values", "classes", "labels"),
    [
        (["b", " a ", "b", "a"], ("a", "b"), [1, 0, 1, 0]),
        ([2, 10, 2, 10], ("2", "10"), [0, 1, 0, 1]),
        ([1.0, 0.0, None, 1.0], ("0", "1"), [1, 0, -1, 1]),
        (["1", "0.0", "-1", ""], ("0", "1"), [1, 0, -1, -1]),
        (["-1", "pos", "pos", "-1"], ("-1", "pos"), [0, 1, 1, 0]),
        ([float("nan"), "3.5", "4", "3.5"], ("3.5", "4"), [-1, 0, 1, 0]),
        ([True, False, True, False], ("False", "True"), [1, 0, 1, 0]),
        (["[a]", "b", "[a]", "b"], ("[a]", "b"), [0, 1, 0, 1]),
    ],
)
def test_labels_are_classes_as_they_are_and_some_mean_none(values, classes, labels):
    records = read_tables({"text": ["w"] * len(values), "label": pd.Series(values, dtype=object)})["train"]
    rows = read_rows(records, choose_columns(records))
    assert classes_of(rows) == classes
    assert rows.split(classes).labels.tolist() == labels


@pytest.mark.parametrize("kind", ["single-label", "multi-label"])
def test_names_of_classes_may_hold_what_is_not_printed(kind):
    """A no-break space, the joiner within an emoji."""
    names = ("prix\u00a0bas", "\U0001f469\u200d\U0001f680")
    assert prepare(table(label=[names[at % 2] for at in range(60)]), type=kind).classes == names


LISTS_FOR_ONE = "data: found lists as labels, such as .*'a'.*--type multi-label reads several"
NOT_FINITE = "row 3: found the score .*, expected a (finite )?number"
NO_PLACE = "data, row 1: found nothing at a place in the tags, expected a name at each"
YES_OR_NO = "data, row 1: found a 0 or 1 for each label, expected the names of those"


@pytest.mark.parametrize(
    ("kind", "labels", "message"),
    [
        ("single-label", [f"{at}" for at in range(60)], "60 different labels in 60 rows.*--label COLUMN"),
        ("single-label", ["a"], "found no class but 'a', expected two classes at least$"),
        ("single-label", [-1, 1], "a label of -1 among integers means none: write a word"),
        ("single-label", [["a"], ["a", "b"], []], LISTS_FOR_ONE),
        ("multi-label", [[]], "data: found no label, expected two classes at least$"),
        ("multi-label", [["a"], []], "data: found no class but 'a', expected two classes at least$"),
        ("multi-label", [{"kind": 0}, {"kind": 1}], "data, row 1: found the list .*'kind': 0.*, expected names alone"),
        *(("multi-label", [[type(yes)(0), yes, yes], [yes, yes, yes]], YES_OR_NO) for yes in (1, 1.0, True, "1")),
        *(("regression", [0.0, 1.0, score], NOT_FINITE) for score in ("inf", "nan", float("inf"))),
        ("sequence-labelling", ["O O"], "data: found no class but 'O', expected two classes at"),
        ("sequence-labelling", ["O O", "B-X  O"], "data, row 2: found an empty tag, expected single"),
        ("sequence-labelling", [["B-X", None], ["B-X", "O"]], NO_PLACE),
        ("sequence-labelling", [("B-X", float("nan")), ("B-X", "O")], NO_PLACE),
    ],
)
def test_labels_that_a_type_cannot_have_are_refused(kind, labels, message):
    columns = ("tokens", "tags") if kind == "sequence-labelling" else ("text", "label")
    rows = [dict(zip(columns, (f"row {at}", labels[at % len(labels)]), strict=True)) for at in range(60)]
    with pytest.raises(InputError, match=message):
        prepare(rows, type=kind)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("", "an empty text, expected a visible character"),
        ("  \u200b", "an empty text"),
        (None, "no text"),
        (float("nan"), "no text"),
        (pd.NA, "no text"),
        (7, "the text 7, expected a text"),
        ("cut \ud83d", "half a surrogate pair in text, expected a text"),
    ],
)
def test_a_row_without_text_is_named(text, found):
    rows = [{"text": f"row {at}", "label": ("no", "yes")[at % 2]} for at in range(60)]
    rows[4]["text"] = text
    for data in (rows, {name: [row[name] for row in rows] for name in ("text", "label")}):
        with pytest.raises(InputError, match=f"data, row 5: found {found}"):
            prepare(data)


def test_held_out_rows_are_seeded_and_of_each_class_alike():
    rows = table(1000, label=["a"] * 900 + ["b"] * 90 + ["rare"] * 10)
    data, again = prepare(rows), prepare(rows)
    held = [*data.selection.texts, *data.calibration.texts]
    assert (len(data.train), len(data.selection), len(data.calibration)) == (800, 100, 100)
    assert {*held} | {*data.train.texts} == {*rows["text"]}
    counts = np.bincount(np.concatenate([data.selection.labels, data.calibration.labels]))
    assert counts.tolist() == [180, 18, 2]
    assert again.selection.texts == data.selection.texts
    assert again.sha256 == data.sha256


def test_unlabelled_rows_are_learnt_from_and_calibrate_but_choose_no_epoch():
    labels = ["a", "b", ""] * 100
    data = prepare(table(300, label=labels))
    assert (data.selection.labels != UNLABELLED).all()
    assert (data.calibration.labels == UNLABELLED).sum() == 20
    assert (data.train.labels == UNLABELLED).sum() == 80
    assert any("80 training rows have no label" in line for line in data.said)


def test_no_text_stands_in_two_splits():
    rows = table(100)
    test = {"text": ["Row 3", "new"], "label": ["no", "yes"]}
    dev = {"text": ["row  3", "row 5", *(f"dev {at}" for at in range(6))], "label": ["no"] * 8}
    data = prepare(rows, dev=dev, test=test)
    assert "row 3" not in data.train.texts
    assert len(data.train) == 99
    assert sorted([*data.selection.texts, *data.calibration.texts]) == [f"dev {at}" for at in range(6)]
    assert "1 training rows left out, their texts stand in test too" in data.said
    doubled = prepare({"text": ["same"] * 50 + rows["text"], "label": ["no"] * 50 + rows["label"]})
    assert "same" not in [*doubled.selection.texts, *doubled.calibration.texts]


def test_too_few_rows_and_labels_that_only_another_split_has():
    with pytest.raises(InputError, match="found 10 rows to learn from, expected at least 20"):
        prepare(table(10))
    with pytest.raises(InputError, match="held-out rows beside 60 whose texts stand in train or test too"):
        prepare(table(), dev=table(), test={"text": ["new"], "label": ["no"]})
    with pytest.raises(InputError, match="data, row 1: found the label 'maybe', expected one of no, yes"):
        prepare(table(), test={"text": ["x"], "label": ["maybe"]})
    with pytest.raises(InputError, match="found no label in the test rows"):
        prepare(table(), test={"text": ["new", "newer"], "label": [None, None]})


def test_rows_for_a_model_have_its_classes():
    split = rows_for(table(), ("yes", "no"), labelled=True)
    assert split.labels[:2].tolist() == [1, 0]
    with pytest.raises(InputError, match="found the label 'no', expected one of a, b"):
        rows_for(table(), ("a", "b"), labelled=True)
    assert rows_for(["one", "two"], ("a", "b"), labelled=False).labels.tolist() == [UNLABELLED] * 2


def test_labels_of_other_files_are_read_as_those_of_train():
    train = table(label=[("0.5", "1.0", "2.0")[at % 3] for at in range(60)])
    test = {"text": ["a new one", "another"], "label": ["1.0", "2.0"]}
    data = prepare(train, test=test)
    assert data.classes == ("0.5", "1.0", "2.0")
    assert data.test.labels.tolist() == [1, 2]
    with_minus_one = table(label=[("-1", "0", "1", "unsure")[at % 4] for at in range(60)])
    data = prepare(with_minus_one, test={"text": ["a new one", "another"], "label": ["-1", "0"]})
    assert data.test.labels.tolist() == [data.classes.index("-1"), data.classes.index("0")]


def test_a_column_of_other_labels_is_of_something_else_where_none_are_needed():
    texts = {"review": ["good", "bad"], "stars": ["3", "5"]}
    assert rows_for(texts, ("no", "yes"), labelled=False).labels.tolist() == [UNLABELLED] * 2
    texts["stars"] = ["yes", "no"]
    assert rows_for(texts, ("no", "yes"), labelled=False).labels.tolist() == [1, 0]
    with pytest.raises(InputError, match="found the label 'maybe', expected one of no, yes"):
        rows_for({"text": ["good"], "stars": ["maybe"]}, ("no", "yes"), labelled=False, label="stars")
    rated = {"review": [f"row {at}" for at in range(60)], "stars": [at % 5 for at in range(60)]}
    data = prepare(rated, classes=("no", "yes"))
    assert (data.train.labels == UNLABELLED).all()
    assert data.said[0] == "text from 'review'; not read: stars"
    with pytest.raises(InputError, match="found the label '0', expected one of no, yes"):
        prepare(rated, classes=("no", "yes"), label="stars")
    with pytest.raises(InputError, match="row 3: found the label 'maybe', expected one of no, yes"):
        prepare(table(label=["no", "yes", "maybe"] * 20), classes=("no", "yes"))


def test_a_task_of_other_classes_has_texts_alone():
    labels = np.array([(1, 0), (0, 1)] * 2)
    rows = Split([f"row {at}" for at in range(4)], None, labels)
    data = TaskData(Task("mine", "en", ("a", "b"), type="multi-label"), rows, rows, rows, "here", "0")
    many = TASK_TYPES["multi-label"]
    assert rows_of_task(data, ["a", "b"], True, many, None) is rows
    for kind, classes, scores in [("multi-label", ["b", "a"], None), ("single-label", ["a", "b"], None)]:
        expected = f"mine: found a multi-label task of a, b, expected one of .* {kind} of {', '.join(classes)}"
        with pytest.raises(InputError, match=expected):
            rows_of_task(data, classes, True, TASK_TYPES[kind], scores)
        found = rows_of_task(data, classes, False, TASK_TYPES[kind], scores)
        assert found.texts == rows.texts
        assert not TASK_TYPES[kind].known(found.labels).any()


def test_a_column_that_is_not_called_tags_is_of_something_else_where_none_are_needed():
    words = TASK_TYPES["sequence-labelling"]
    texts = {"text": ["a good film", "a bad one"], "sentiment": ["good", "bad"]}
    assert rows_for(texts, ("O", "B-X"), labelled=False, kind=words).labels.tolist() == [(), ()]
    texts["sentiment"] = ["O B-X O", "O O O"]
    assert rows_for(texts, ("O", "B-X"), labelled=False, kind=words).labels.tolist() == [(0, 1, 0), (0, 0, 0)]
    with pytest.raises(InputError, match="found the label 'good', expected one of O, B-X"):
        rows_for({"text": ["a film"], "tags": ["good"]}, ("O", "B-X"), labelled=False, kind=words)


def test_scores_have_the_range_that_is_named_or_that_of_the_training_rows():
    train, test = table(label=[at % 4 for at in range(60)]), {"text": ["x", "y"], "label": [4, -1]}
    expected = "row 1: found the score '4', expected a number from 0 to 3; `fastbert train --scores LOW HIGH`"
    with pytest.raises(InputError, match=expected):
        prepare(train, test=test, type="regression")
    data = prepare(train, test=test, type="regression", scores=(-1, 4))
    assert data.scores == (-1.0, 4.0)
    assert data.test.labels.tolist() == [1.0, 0.0]
    for scores in [(4, -1), (0, float("inf")), (float("nan"), 1), ("0", None), ("a", 1), (1,), 5]:
        with pytest.raises(InputError, match=r"scores: found .*, expected two numbers, the least and the largest"):
            prepare(train, type="regression", scores=scores)
    with pytest.raises(InputError, match="found a range with the type single-label, expected none but of a regression"):
        prepare(train, scores=(0, 5))


def test_tables_of_pandas_are_read_as_files_are():
    frame = pd.DataFrame(table(label=[(1, 0, None)[at % 3] for at in range(60)])).convert_dtypes()
    assert prepare(frame).classes == ("0", "1")
    words = [{"tokens": np.array([f"w{at}", "b"]), "tags": np.array(["O", "B-X"])} for at in range(40)]
    for tagged in (words, pd.DataFrame(words), [{name: tuple(row[name]) for name in row} for row in words]):
        assert prepare(tagged, type="sequence-labelling").classes == ("O", "B-X")
    with pytest.raises(InputError, match="found the column label twice"):
        prepare(pd.DataFrame([["a", "x", "y"]], columns=["text", "label", "label"]))
    for columns in ({"text": ["a", "b"], "label": [1]}, {"text": "a", "label": 1}):
        with pytest.raises(InputError, match="found columns that make no table"):
            prepare(columns)


@pytest.mark.parametrize("kind", [list, tuple, set, frozenset])
def test_names_in_a_list_may_hold_commas(kind):
    rows = [{"text": f"row {at}", "labels": kind((["b, c", "a"], ["d"], [])[at % 3])} for at in range(60)]
    data = prepare(rows, type="multi-label")
    assert data.classes == ("a", "b, c", "d")
    assert {tuple(row) for row in data.train.labels} == {(1, 1, 0), (0, 0, 1), (0, 0, 0)}


@pytest.mark.parametrize(
    ("kind", "labels"),
    [
        ("multi-label", (["a", "b"], ["c"])),
        ("multi-label", ([0, 2], [])),
        ("multi-label", ({"a", "b"}, {"c"})),
        ("multi-label", (("a", "b"), ("c",))),
        ("sequence-labelling", (["O", "B-X"], ["O", "O"])),
    ],
)
def test_a_list_that_was_written_as_a_text_is_refused(tmp_path, kind, labels):
    path, rows = tmp_path / "rows.csv", [(f"row {at}", labels[at % 2]) for at in range(60)]
    pd.DataFrame(rows, columns=TASK_TYPES[kind].columns).to_csv(path, index=False)
    with pytest.raises(InputError, match=r"rows\.csv:2: found the list .* as a text, expected names alone"):
        prepare(path, type=kind)


def test_a_list_makes_a_text_whose_words_may_hold_spaces_but_not_where_each_has_a_tag():
    rows = [{"tokens": [f"w{at}", "New York"], "tags": ["O", "B-X"]} for at in range(40)]
    with pytest.raises(InputError, match="data, row 1: found a space in the word 'New York' of tokens, expected none"):
        prepare(rows, type="sequence-labelling")
    assert read_rows(read_tables(rows)["train"], Columns("tokens")).texts[0] == "w0 New York"


def test_words_and_their_tags_have_no_second_text():
    rows = {"sentence1": [f"w{at} b" for at in range(40)], "sentence2": ["c"] * 40, "tags": ["B-X O"] * 40}
    with pytest.raises(InputError, match="--pair: found 'sentence2' with words and their tags, expected none"):
        prepare(rows, text="sentence1", pair="sentence2", type="sequence-labelling")
    with pytest.raises(InputError, match="--text COLUMN names it"):
        prepare(rows, type="sequence-labelling")


def test_a_folder_without_rows_to_train_on_is_named(tmp_path):
    pd.DataFrame(table(4)).to_csv(tmp_path / "test.csv", index=False)
    with pytest.raises(InputError, match="found the rows of test alone, expected some of train"):
        prepare(str(tmp_path))
    assert len(rows_for(str(tmp_path), ("no", "yes"), labelled=True)) == 4


def test_a_data_set_whose_test_labels_its_owner_keeps_can_be_trained_on():
    parts = {"train": table(label=[at % 2 for at in range(60)]), "test": {"text": ["row 3", "new"], "label": [-1, -1]}}
    data = prepare(datasets.DatasetDict({name: datasets.Dataset.from_dict(part) for name, part in parts.items()}))
    assert data.test is None
    assert "test rows left out, none of them has a label" in data.said


def test_a_table_beside_the_training_rows_lacks_a_column(tmp_path):
    few = table(20)
    lacking = {"text": [f"{text} again" for text in few["text"]]}
    found = prepare(table(), dev=lacking | {"label": few["label"]}, test=None)
    told = "found the columns 'text', expected 'label', which the training rows are read from"
    with pytest.raises(InputError, match=told):
        prepare(table(), test=lacking)
    without = prepare(table(), dev=lacking, classes=("no", "yes"))
    assert len(without.calibration) + len(without.selection) == len(found.calibration) + len(found.selection)


def test_held_out_rows_have_their_labels_though_the_first_has_none():
    dev = [{"text": "first"}, *({"text": f"dev {at}", "label": ("no", "yes")[at % 2]} for at in range(8))]
    data = prepare(table(), dev=dev)
    assert (len(data.selection), len(data.calibration)) == (4, 5)
    with pytest.raises(InputError, match="found 0 held-out rows with a label, expected 4 or more"):
        prepare(table(), dev=dev[:1] * 9)


def test_a_folder_with_a_colon_in_its_name_is_read(tmp_path):
    (folder := tmp_path / "a:b").mkdir()
    pd.DataFrame(table()).to_csv(folder / "reviews.csv", index=False)
    assert len(read_tables(str(folder))["train"].columns) == 2


def test_of_a_task_by_name_what_is_left_out_is_told():
    train, dev, test = (
        Split([f"{name} {at}" for at in range(30)], None, np.arange(30) % 2) for name in ("train", "dev", "test")
    )
    train = Split(["test 3", *train.texts[1:]], None, train.labels)
    dev = Split(["train 5", "test 4", *dev.texts[2:]], None, dev.labels)
    data = of_task(TaskData(Task("mine", "en", ("a", "b")), train, dev, test, "here", "0"))
    assert (len(data.train), len(data.selection), len(data.calibration)) == (29, 14, 14)
    assert data.said == (
        "here",
        "1 training rows left out, their texts stand in test too",
        "2 held-out rows left out, their texts stand in other rows too",
    )
