import gzip
import lzma
import os
from threading import Thread

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbert_core.data import halves, load_files, load_folder, overlap, read_tsv, take_rows, without
from fastbert_core.errors import InputError
from fastbert_core.tasks import Task
from fastbert_core.tsv import Split

SINGLE = Task("mine", "en", ("no", "maybe", "yes"))
PAIR = Task("mine", "en", ("no", "yes"), pair=True)
GOOD = "label\ttext_a\n0\tone\n1\ttwo\n2\tthree\n"
OPENERS = {"tsv": open, "tsv.gz": gzip.open, "tsv.xz": lzma.open}


def write(path, text):
    suffix = path.name.partition(".")[2]
    with OPENERS[suffix](path, "wb") as file:
        file.write(text if isinstance(text, bytes) else text.encode())
    return path


def write_task(folder, suffix="tsv", train=GOOD, dev=GOOD, test=GOOD):
    (folder / "mine").mkdir(parents=True, exist_ok=True)
    for split, text in (("train", train), ("dev", dev), ("test", test)):
        write(folder / "mine" / f"{split}.{suffix}", text)
    return folder


# What is read, and how, tests/fuzz/test_tsv.py holds against a second reading.
def test_quotes_and_unicode_line_ends_are_plain_characters(tmp_path):
    texts = ['"open', 'she said "x" and\'', "a\u2028b\u2029c\x85d\x0be\x0cf\x1cg", "a\rb", "\ufeffx"]
    body = "".join(f"0\t{text}\n" for text in texts)
    assert read_tsv(write(tmp_path / "x.tsv", f"label\ttext_a\n{body}"), SINGLE).texts == texts


@pytest.mark.parametrize(
    ("text", "place", "reason"),
    [
        ("", ":1", "found no header, expected the columns label, text_a"),
        ("label\ttext_a\r0\tone\r1\ttwo\r" * 9, ":1", "found carriage returns within the line, expected line feeds"),
        ("0\tone\n", ":1", "expected one column 'text_a'"),
        ("text_a\none\n", ":1", "expected one column 'label'"),
        ("label\ttext_a\ttext_a\n0\tone\ttwo\n", ":1", "expected one column 'text_a'"),
        ("label\ttext_a\ttext_b\n0\tone\ttwo\n", ":1", "a task of single texts"),
        ("label\ttext_a\n", "", "no rows"),
        (GOOD + "0\n", ":5", "found 1 fields, expected 2"),
        (GOOD + "0\tone\ttwo\n", ":5", "found 3 fields, expected 2"),
        (GOOD + "0\t \u3000\n", ":5", "empty text_a"),
        (GOOD + "0\ta\0b\n", ":5", "found a NUL character, expected text$"),
        (GOOD + "0\t\u200b\u2060 \ufeff\n", ":5", "empty text_a"),
        (GOOD + "yes\tone\n", ":5", "found the label 'yes', expected an integer from 0 to 2"),
        (GOOD + "3\tone\n", ":5", "found the label '3', expected an integer from 0 to 2"),
        (GOOD + "-1\tone\n", ":5", "found the label '-1'"),
        (GOOD + "1.0\tone\n", ":5", "found the label '1.0'"),
        (GOOD + " 1\tone\n", ":5", "found the label ' 1'"),
        (GOOD + "\tone\n", ":5", "found the label ''"),
        (GOOD + "1_0\tone\n", ":5", "found the label '1_0'"),
        (GOOD + "\uff11\tone\n", ":5", "found the label '\uff11'"),
        (GOOD + "9" * 5000 + "\tone\n", ":5", "found the label '9999"),
        (GOOD.encode() + b"0\tcaf\xe9\n", ":5", "found byte 0xe9, expected UTF-8$"),
        (GOOD.encode("utf-16"), ":1", "expected UTF-8"),
    ],
)
def test_bad_content_is_refused_with_file_and_line(tmp_path, text, place, reason):
    path = write(tmp_path / "x.tsv", text)
    with pytest.raises(InputError, match=reason) as caught:
        read_tsv(path, SINGLE)
    assert str(caught.value).startswith(f"{path}{place}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("row", ["1\t\tb", "1\ta\t", "1\ta\t \t"])
def test_pairs_need_both_sides(tmp_path, row):
    path = write(tmp_path / "x.tsv", f"label\ttext_a\ttext_b\n0\ta\tb\n{row}\n")
    with pytest.raises(InputError, match=r"x\.tsv:3: found (an empty text_|4 fields)"):
        read_tsv(path, PAIR)


def test_a_suffix_may_be_in_capitals(tmp_path):
    (tmp_path / "X.TSV.GZ").write_bytes(gzip.compress(GOOD.encode()))
    assert read_tsv(tmp_path / "X.TSV.GZ", SINGLE).labels.tolist() == [0, 1, 2]


@pytest.mark.parametrize("suffix", ["tsv.gz", "tsv.xz"])
def test_damaged_compressed_files(tmp_path, suffix):
    path = write(tmp_path / f"x.{suffix}", GOOD * 50)
    path.write_bytes(path.read_bytes()[:-10])
    with pytest.raises(InputError, match=r"unreadable \(.*expected a whole file"):
        read_tsv(path, SINGLE)


@pytest.mark.parametrize("suffix", OPENERS)
def test_a_named_pipe_is_read_as_a_file(tmp_path, suffix):
    content = write(tmp_path / f"x.{suffix}", GOOD).read_bytes()
    pipes = [tmp_path / "mine" / f"{split}.{suffix}" for split in ("train", "dev", "test")]
    pipes[0].parent.mkdir()
    for pipe in pipes:
        os.mkfifo(pipe)
        Thread(target=pipe.write_bytes, args=(content,), daemon=True).start()
    data = load_folder(SINGLE, tmp_path)
    assert [split.texts for split in (data.train, data.dev, data.test)] == [["one", "two", "three"]] * 3


def test_missing_file_and_folder_in_its_place(tmp_path):
    for path in (tmp_path / "none.tsv", tmp_path, tmp_path / ("x" * 5000), tmp_path / "a\0b"):
        with pytest.raises(InputError, match="no such file"):
            read_tsv(path, SINGLE)


def test_load_folder(tmp_path, caplog):
    data = load_folder(SINGLE, write_task(tmp_path, test="label\ttext_a\n1\tfour\n"))
    assert (len(data.train), len(data.dev), len(data.test)) == (3, 3, 1)
    assert data.test.texts == ["four"]
    assert data.task is SINGLE
    assert not caplog.records  # of texts that stand in train and test


def test_the_hash_is_of_the_content_not_of_its_storage(tmp_path):
    hashes = [load_folder(SINGLE, write_task(tmp_path / suffix, suffix)).sha256 for suffix in OPENERS]
    assert len(set(hashes)) == 1
    moved = "label\ttext_a\n0\tone\n1\ttwo\n2\tthree\n0\tone\n"
    shorter = GOOD.replace("0\tone\n", "")
    others = [
        write_task(tmp_path / "text", dev=GOOD.replace("two", "2")),
        write_task(tmp_path / "label", dev=GOOD.replace("1\t", "2\t")),
        write_task(tmp_path / "border", train=moved, dev=shorter),
    ]
    assert len({hashes[0], *(load_folder(SINGLE, other).sha256 for other in others)}) == 4


def test_load_folder_refuses_what_is_missing_or_twofold(tmp_path):
    with pytest.raises(InputError, match="no such folder, expected the TSV files of task mine"):
        load_folder(SINGLE, tmp_path)
    write_task(tmp_path)
    write(tmp_path / "mine" / "dev.tsv.gz", GOOD)
    with pytest.raises(InputError, match=r"found dev\.tsv and dev\.tsv\.gz, expected one of"):
        load_folder(SINGLE, tmp_path)
    os.remove(tmp_path / "mine" / "train.tsv")
    with pytest.raises(InputError, match=r"found no train\.tsv, expected one of"):
        load_folder(SINGLE, tmp_path)


def test_a_class_that_never_occurs_in_training_is_refused(tmp_path):
    write_task(tmp_path, train="label\ttext_a\n0\tone\n2\ttwo\n")
    with pytest.raises(InputError, match=r"train\.tsv: no text of class 1 \(maybe\)"):
        load_folder(SINGLE, tmp_path)


def test_overlap_counts_different_test_texts_and_warns(tmp_path, caplog):
    data = load_folder(SINGLE, write_task(tmp_path, test="label\ttext_a\n0\tone\n1\tone\n0\tnew\n2\tthree\n"))
    assert overlap(data) == 2
    assert "mine: 2 test texts also stand in its training set" in caplog.text


def test_class_names_identify_a_users_task(tmp_path):
    def digest(*classes):
        return load_files(Task("tickets", "en", classes), [path] * 3).sha256

    path = tmp_path / "all.tsv"
    path.write_text("label\ttext_a\n0\ta bill\n1\ta bug\n", encoding="utf-8")
    assert digest("billing", "bug") == digest("billing", "bug") != digest("bug", "billing")


@given(st.integers(1, 60), st.integers(1, 60), st.integers(0, 2**32))
@settings(max_examples=50)
def test_take_rows_is_seeded_nested_and_in_order(rows, more, seed):
    split = Split([str(i) for i in range(60)], [str(-i) for i in range(60)], np.arange(60))
    few, many = take_rows(split, min(rows, more), seed), take_rows(split, max(rows, more), seed)
    assert set(few.texts) <= set(many.texts)
    assert few.labels.tolist() == sorted(set(few.labels.tolist()))
    assert few.texts == [str(i) for i in few.labels]
    assert few.pairs == [str(-i) for i in few.labels]
    assert few.texts == take_rows(split, len(few), seed).texts


def test_take_rows_depends_on_the_seed_and_refuses_more_than_there_are():
    split = Split([str(i) for i in range(60)], None, np.zeros(60, np.int64))
    assert take_rows(split, 30, 1).texts != take_rows(split, 30, 2).texts
    for rows in (0, 61):
        with pytest.raises(InputError, match=f"train_rows: found {rows}, expected 1 to 60"):
            take_rows(split, rows, 1)


def test_rows_that_stand_elsewhere_are_left_out_by_normalised_text():
    one = Split(["Good  book", "bad", "ｇｏｏｄ book", "fine"], None, np.array([1, 0, 1, 1]))
    other = Split(["good\tBOOK"], None, np.array([1]))
    left = without(one, other)
    assert (left.texts, left.labels.tolist()) == (["bad", "fine"], [0, 1])
    assert without(left, other) is left


def test_dev_rows_that_stand_in_train_or_test_are_not_held_out(tmp_path):
    rows = {"train": ["one", "two", "three"], "dev": ["Two", "four", "five"], "test": ["five", "one"]}
    files = {
        name: "label\ttext_a\n" + "".join(f"{at % 3}\t{text}\n" for at, text in enumerate(texts))
        for name, texts in rows.items()
    }
    data = load_folder(SINGLE, write_task(tmp_path, **files))
    assert data.held_out.texts == ["four"]
    assert data.learnable.texts == ["two", "three"]


def test_of_pairs_both_texts_must_stand_elsewhere():
    one = Split(["a", "a"], ["b", "c"], np.array([0, 1]))
    assert without(one, Split(["A"], ["B"], np.array([0]))).pairs == ["c"]
    assert len(without(one, Split(["b"], ["a"], np.array([0])))) == 2


def test_halves_share_no_row_and_are_seeded():
    split = Split([str(row) for row in range(11)], None, np.arange(11))
    first, second = halves(split, seed=7)
    assert sorted([*first.texts, *second.texts], key=int) == split.texts
    assert (len(first), len(second)) == (6, 5)
    assert halves(split, seed=7)[0].texts == first.texts != halves(split, seed=8)[0].texts
