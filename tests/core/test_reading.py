"""Tables of every kind are read rightly, or refused in one line that says where and what to do."""

import bz2
import codecs
import contextlib
import csv
import gzip
import io
import json
import lzma
from types import SimpleNamespace

import datasets
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbert_core.errors import InputError
from fastbert_core.reading import read_file, read_lines, read_tables

ROWS = [
    {"text": "good, really", "label": "pos"},
    {"text": 'he said "no"', "label": "neg"},
    {"text": "好的", "label": "pos"},
]


def rows_of(records):
    return [row for _, row in records.rows]


def write_csv(path, rows=ROWS, encoding="utf-8", end="\r\n", delimiter=","):
    with open(path, "w", newline="", encoding=encoding) as file:
        writer = csv.DictWriter(file, list(rows[0]), lineterminator=end, delimiter=delimiter)
        writer.writeheader()
        writer.writerows(rows)
    return path


@pytest.mark.parametrize("end", ["\n", "\r\n"])
@pytest.mark.parametrize("delimiter", [",", ";", "\t"])
@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16", "utf-32"])
def test_csv_of_every_usual_form_is_read_as_it_was_written(tmp_path, encoding, end, delimiter):
    path = write_csv(tmp_path / "rows.csv", encoding=encoding, end=end, delimiter=delimiter)
    records = read_file(path)
    assert records.columns == ("text", "label")
    assert rows_of(records) == ROWS


@pytest.mark.parametrize("encoding", ["gb18030", "utf-16-le", "cp932"])
def test_an_encoding_that_no_mark_tells_is_named(tmp_path, encoding):
    path = write_csv(tmp_path / "rows.csv", [{"text": "好", "label": "a"}], encoding)
    with pytest.raises(InputError, match=r"rows\.csv:\d: found .*--encoding"):
        rows_of(read_file(path))
    assert rows_of(read_file(path, encoding)) == [{"text": "好", "label": "a"}]


def test_every_kind_gives_the_same_rows(tmp_path):
    frame = pd.DataFrame(ROWS)
    frame.to_parquet(tmp_path / "rows.parquet")
    lines = "\n".join(json.dumps(row) for row in ROWS)
    (tmp_path / "rows.jsonl").write_text(lines + "\n\n")
    (tmp_path / "rows.json").write_text(json.dumps(ROWS, indent=1))
    (tmp_path / "rows.jsonl.gz").write_bytes(gzip.compress(lines.encode()))
    (tmp_path / "rows.csv.bz2").write_bytes(bz2.compress(write_csv(tmp_path / "rows.csv").read_bytes()))
    (tmp_path / "OTHER.JSONL.GZ").write_bytes(gzip.compress(lines.encode()))
    for ending, packed in ((".gz", gzip), (".XZ", lzma), (".bz2", bz2)):
        (tmp_path / f"rows.parquet{ending}").write_bytes(packed.compress((tmp_path / "rows.parquet").read_bytes()))
    found = {path.name: rows_of(read_file(path)) for path in tmp_path.iterdir()}
    assert len(found) == 10
    named = datasets.Dataset.from_list(
        [{"text": row["text"], "label": at} for row, at in zip(ROWS, (1, 0, 1), strict=True)]
    )
    named = named.cast_column("label", datasets.ClassLabel(names=["neg", "pos"]))
    named.save_to_disk(tmp_path / "saved")
    for data in (frame, frame.to_dict("list"), ROWS, named, tmp_path / "saved"):
        found[str(type(data))] = rows_of(read_tables(data)["train"])
    assert all(rows == ROWS for rows in found.values())


def test_a_folder_has_a_file_for_each_split(tmp_path):
    for name in ("train", "validation", "test"):
        write_csv(tmp_path / f"{name}.csv", [{"text": name, "label": "a"}])
    tables = read_tables(tmp_path)
    assert {split: rows_of(records)[0]["text"] for split, records in tables.items()} == {
        "train": "train",
        "dev": "validation",
        "test": "test",
    }
    write_csv(tmp_path / "dev.csv")
    with pytest.raises(InputError, match=r"found dev\.csv and validation\.csv, expected one file of each split"):
        read_tables(tmp_path)


def test_lists_of_classes_are_read_by_their_names():
    tags = datasets.List(datasets.ClassLabel(names=["O", "B-PER"]))
    features = datasets.Features({"tokens": datasets.List(datasets.Value("string")), "tags": tags})
    rows = {"tokens": [["Ada", "wrote"], ["so"]], "tags": [[1, 0], None]}
    found = read_tables(datasets.Dataset.from_dict(rows, features))["train"]
    assert [row["tags"] for row in rows_of(found)] == [["B-PER", "O"], None]


def test_a_data_set_in_another_format_and_a_stream_of_rows_are_read_alike():
    label = datasets.ClassLabel(names=["neg", "pos"])
    known = datasets.Dataset.from_list(ROWS).cast_column("label", label)
    stream = datasets.IterableDataset.from_generator(lambda: iter(ROWS))
    for data in (known.with_format("numpy"), known.with_format("torch", columns=["label"]), stream):
        assert rows_of(read_tables(data)["train"]) == ROWS


def test_the_splits_of_a_data_set_keep_our_names():
    part = datasets.Dataset.from_list(ROWS)
    tables = read_tables(datasets.DatasetDict({"train": part, "validation": part, "unsupervised": part}))
    assert list(tables) == ["train", "dev"]
    with pytest.raises(InputError, match="found the splits other, expected one called train"):
        read_tables(datasets.DatasetDict({"other": part}))


def test_quotes_are_plain_characters_in_tsv_and_may_hold_lines_in_csv(tmp_path):
    (tmp_path / "a.tsv").write_text('text\tlabel\n"quoted\tx\n', newline="")
    assert rows_of(read_file(tmp_path / "a.tsv")) == [{"text": '"quoted', "label": "x"}]
    (tmp_path / "a.csv").write_text('text,label\n"two\nlines",x\nnext,y\n', newline="")
    assert list(read_file(tmp_path / "a.csv").rows) == [
        (2, {"text": "two\nlines", "label": "x"}),
        (4, {"text": "next", "label": "y"}),
    ]


def test_lines_of_text_may_end_in_any_usual_way_and_hold_a_carriage_return(tmp_path):
    texts = {b"one\ntwo\n": ["one", "two"], b"one\r\ntwo": ["one", "two"], b"one\r": ["one"], b"o\rne\n": ["o\rne"]}
    for content, expected in texts.items():
        (tmp_path / "OK.TXT.GZ").write_bytes(gzip.compress(content))
        assert [row["text"] for row in rows_of(read_file(tmp_path / "OK.TXT.GZ"))] == expected


FAULTS = [
    ("a.csv", b"", "a.csv:1: found nothing"),
    ("a.csv", b"text,label\na,b\na,b,c\n", "a.csv:3: found 3 fields, expected 2 as in the header; quote texts"),
    ("a.tsv", b"text\tlabel\na\n", "a.tsv:2: found 1 fields, expected 2 as in the header; no text may hold a tab"),
    ("a.csv", b'text,label\na,x\n"never closed,y\nb,z\n', "a.csv:3: found a quote that nothing closes"),
    ("a.csv", b'text,label\n"a" b,x\n', "a.csv:2: found a quote within a quoted field"),
    ("a.csv", b"text,label\ra,b\r", "a.csv:1: found a carriage return within the line"),
    ("a.csv", b"text,text\na,b\n", "a.csv:1: found two columns 'text'"),
    ("a.csv", b"text,label\n\xffa,b\n", "a.csv:2: found byte 0xff, expected UTF-8; --encoding NAME"),
    ("a.csv", "text,label\na,b\n".encode("utf-16-le"), "a.csv:1: found a NUL character.*--encoding utf-16-le"),
    ("a.csv.gz", b"not packed", r"a.csv.gz:1: unreadable \(Not a gzipped file"),
    ("a.jsonl", b'{"text": "a"}\n{"text": \n', r"a.jsonl:2: found no JSON \(Expecting value, column 9\)"),
    ("a.jsonl", b'{"text": "a"}\n[1]\n', "a.jsonl:2: found list, expected an object with columns"),
    ("a.jsonl", b"\n\n", "a.jsonl:1: found nothing"),
    ("a.json", b"[]", "a.json: found no rows"),
    ("a.parquet", b"PAR1", "a.parquet: cannot be read"),
    ("a.parquet.gz", b"not packed", "a.parquet.gz: cannot be read .Not a gzipped file"),
    ("a.parquet.gz", gzip.compress(b"PAR1")[:-4], "a.parquet.gz: cannot be read .Compressed file ended"),
    ("a.txt.zst", b"a", "a.txt.zst: found a name that ends in .zst, expected one of .csv, .tsv"),
    ("a.txt", b"one\rtwo\r", "a.txt:1: found a carriage return within the line, expected line feeds .* convert"),
    ("a.xlsx", b"PK", "a.xlsx: found a name that ends in .xlsx, expected one of .csv, .tsv"),
]


@pytest.mark.parametrize(
    ("name", "content", "message"), FAULTS, ids=[f"{name}-{at}" for at, (name, *_) in enumerate(FAULTS)]
)
def test_a_fault_is_one_line_with_its_place(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(InputError, match=message) as caught:
        rows_of(read_file(tmp_path / name))
    assert len(str(caught.value).encode()) < 1000


def test_what_is_not_there_and_no_hub_id_is_not_looked_for_elsewhere(tmp_path):
    for name in ("rows.csv", tmp_path / "nothing", "./nothing"):
        with pytest.raises(InputError, match="no such file or folder"):
            read_tables(str(name))
    with pytest.raises(InputError, match="encoding: found 'no-such'"):
        rows_of(read_file(write_csv(tmp_path / "rows.csv"), "no-such"))


def test_a_path_may_begin_at_home(tmp_path, monkeypatch):
    monkeypatch.setenv("HOME", str(tmp_path))
    rows = rows_of(read_file(write_csv(tmp_path / "rows.csv")))
    assert rows_of(read_tables("~/rows.csv")["train"]) == rows


def test_a_folder_without_data_is_told_in_plain_words(tmp_path, caplog):
    with pytest.raises(InputError, match=r"found no file called train, dev or test, nor other data \(.*any data files"):
        read_tables(tmp_path)
    (tmp_path / "tokenizer.json").write_text("{1")
    with pytest.raises(InputError, match=r"nor other data \(JSON parse error.*\), expected such files \(\.csv, "):
        read_tables(tmp_path)
    assert caplog.messages == []


def test_a_dash_is_standard_input(monkeypatch):
    monkeypatch.setattr("sys.stdin", SimpleNamespace(buffer=io.BytesIO(b"one\ntwo\n")))
    records = read_tables("-")["train"]
    assert (records.name, rows_of(records)) == ("standard input", [{"text": "one"}, {"text": "two"}])


def test_a_name_is_told_the_nearest_task(monkeypatch):
    monkeypatch.setattr(datasets, "load_dataset", lambda *_: 1 / 0)
    with pytest.raises(InputError, match=r"^reuters-r9: cannot be loaded .*; did you mean 'reuters-r8'\?$"):
        read_tables("reuters-r9")


TEXT = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0"))


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(TEXT, TEXT), min_size=1, max_size=5), st.sampled_from(["utf-8", "utf-8-sig", "utf-16"]))
def test_whatever_python_writes_as_csv_comes_back(rows, encoding):
    buffer = io.StringIO(newline="")
    csv.writer(buffer, quoting=csv.QUOTE_ALL).writerows([("a", "b"), *rows])
    found = rows_of(read_lines(io.BytesIO(buffer.getvalue().encode(encoding)), "x", ".csv"))
    assert [(row["a"], row["b"]) for row in found] == rows


@settings(max_examples=150, deadline=None)
@given(
    st.binary(max_size=60),
    st.sampled_from([".csv", ".tsv", ".jsonl", ".json", ".txt"]),
    st.sampled_from([b"", codecs.BOM_UTF16_LE]),
)
def test_any_bytes_are_rows_or_one_line(content, kind, mark):
    with contextlib.suppress(InputError):
        assert all(isinstance(row, dict) for row in rows_of(read_lines(io.BytesIO(mark + content), "x", kind)))


def test_a_codec_that_reads_nothing_of_it_is_one_line(tmp_path):
    path = tmp_path / "texts.txt"
    path.write_bytes("one\ntwo\n".encode("utf-16-le"))
    with pytest.raises(InputError, match="found a file that utf-16 does not read"):
        list(read_file(path, "utf-16").rows)
