"""Task files: what is in order is read as it stands, and no name or path in one leads where the user did not point."""

import json
import os
import re
import tomllib
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.task_file import read_task_file
from fastbert_core.tasks import TASKS
from tests.fuzz.harness import REFUSED, damaged, fuzz, outcome

KEYS = ("name", "language", "labels", "train", "dev", "test")
PATHS = (*"train.tsv sub/dev.tsv.gz /etc/passwd ../../x . ~ ~nobody/x C:\\x".split(), "", "a\0b", "x" * 5000, "é\n")
NAMES = (*"mine a 0 ../x /x a/b . .. Mine dbpedia é -a".split(), "x" * 64, "x" * 65, "a\0", "a\n", "", "a b")
JUNK = (*PATHS, *NAMES, 3, -1.5, True, [], ["a"], [["a"]], ["a", "a"], ["a", 1], [""], ["a\n", "b"], {}, {"a": 1})
tokens = (*b"= \" [ ]] \\u0000 \\uD800 ''' [x]\n 1979-05-27 #".split(b" "), b"name = 1\n", b"a.b = 1\n")
names = st.sampled_from(NAMES) | st.from_regex(r"[a-z0-9][a-z0-9_-]{0,9}", fullmatch=True)
labels = st.lists(st.text(max_size=5) | st.sampled_from(("no", "yes", "a\u2028b", " ")), max_size=4)
paths = st.sampled_from(PATHS) | st.text(max_size=8)


def toml(value):
    """A value as TOML writes it."""
    if isinstance(value, list):
        return "[" + ", ".join(map(toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{toml(key)} = {toml(inner)}" for key, inner in value.items()) + "}"
    return json.dumps(value, ensure_ascii=False).replace("\x7f", "\\u007f")


def as_toml(table):
    """A task file of `table`."""
    return "".join(f"{toml(key)} = {toml(value)}\n" for key, value in table.items())


@st.composite
def tables(draw):
    """The content of a task file, mostly in order."""
    table = {"name": draw(names), "language": draw(st.sampled_from(("en", "zh", "en", "fr"))), "labels": ["no", "yes"]}
    table |= {split: draw(paths) for split in ("train", "dev", "test")}
    if draw(st.booleans()):
        table["labels"] = draw(labels)
    if draw(st.booleans()):
        table["pair"] = draw(st.booleans())
    if draw(st.booleans()):
        table["backbone"] = draw(paths)
    return table


def check(folder, data):
    """Read the bytes `data` as a task file and hold the outcome against another reading."""
    path = folder / "mine.toml"
    path.write_bytes(data)
    (folder / "sub").mkdir(exist_ok=True)
    found = outcome(read_task_file, path, folder=folder, name=str(path))
    try:
        table = tomllib.loads(data.decode("utf-8-sig"))
    except (ValueError, RecursionError):
        table = {}
    assert (found is REFUSED) == (not in_order(table))
    if found is REFUSED:
        return
    assert (found.task.name, found.task.language, found.task.pair) == (
        table["name"],
        table["language"],
        table.get("pair", False),
    )
    assert list(found.task.classes) == table["labels"]
    assert (found.train, found.dev, found.test) == tuple(folder / home(table[key]) for key in ("train", "dev", "test"))
    assert found.backbone in (table.get("backbone"), folder / home(table.get("backbone", "")))
    assert (Path("results") / found.task.name).parts == ("results", found.task.name)


def home(path):
    """The path that stands in a task file, with the home folder for ~."""
    return path if "\0" in path else os.path.expanduser(path)


def in_order(table):
    """Whether a task file may hold `table`."""
    texts = [table.get(key) for key in KEYS if key != "labels"]
    if not all(isinstance(text, str) for text in texts) or not isinstance(table.get("labels"), list):
        return False
    if not set(table) <= {*KEYS, "pair", "backbone"} or not isinstance(table.get("pair", True), bool):
        return False
    classes = table["labels"]
    return (
        isinstance(table.get("backbone", ""), str)
        and all(isinstance(name, str) and name.isprintable() and name.strip() for name in classes)
        and len(set(classes)) == len(classes) > 1
        and re.fullmatch("[a-z0-9][a-z0-9_-]{0,63}", table["name"]) is not None
        and table["name"] not in TASKS
        and table["language"] in ("en", "zh")
    )


@given(tables(), st.data())
@fuzz(300)
def test_tables(tmp_path, table, data):
    key = data.draw(st.sampled_from((*KEYS, "pair", "backbone", "epochs", "Name")))
    change = data.draw(st.sampled_from(("none", "none", "junk", "lose")))
    if change == "junk":
        table[key] = data.draw(st.sampled_from(JUNK))
    elif change == "lose":
        table.pop(key, None)
    check(tmp_path, as_toml(table).encode())


GOOD = {
    "name": "mine",
    "language": "en",
    "labels": ["no", "yes"],
    "train": "a.tsv",
    "dev": "sub/b.tsv",
    "test": "../c.tsv",
}


@given(st.data())
@fuzz(150)
def test_damaged_bytes(tmp_path, data):
    check(tmp_path, data.draw(damaged(as_toml(GOOD).encode(), tokens)))
