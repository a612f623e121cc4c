"""The page on adding: its files, put where it says, pass the contract tests, and its commands do what it says."""

import ast
import json
import os
import re
import shutil
import subprocess
import sys
from collections import Counter
from pathlib import Path

import pytest

from reproductions.store import find_runs
from reproductions.tables import read_table
from tests.factories import make_trace, store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(fastbert_core/\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
RULES = "python -m reproductions rules all"
TRAIN = "python -m reproductions run dbpedia --training labels-after"
LIST = "fastbert list trainings"
TESTS = "python -m pytest"
# In one process, since each imports torch: every command as it would run in its own.
RUN = """
import json, runpy, sys
for module, *words in json.loads(sys.argv[1]):
    print("$", module, *words, flush=True)
    sys.argv = [module, *words]
    try:
        runpy.run_module(module, run_name="__main__")
    except SystemExit as end:
        assert not end.code, end
"""


def is_register(node: ast.AST) -> bool:
    return isinstance(node, ast.Call) and isinstance(node.func, ast.Attribute) and node.func.attr == "register"


@pytest.fixture(scope="module")
def copy(tmp_path_factory):
    """The packages with the page's files in them."""
    folder = tmp_path_factory.mktemp("copy")
    for package in ("fastbert_core", "reproductions", "tests"):
        shutil.copytree(ROOT / package, folder / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", folder)
    for path, text in FILES.items():
        assert not (folder / path).exists()
        (folder / path).write_text(text, encoding="utf-8")
    store(folder / "made-up" / "standard", [make_trace(60, split=split) for split in ("test", "dev")])
    return folder


@pytest.fixture(scope="module")
def said(copy):
    """What each command of the page, and the contract tests, say in the copy, with words that keep them small."""
    names = [call.args[0].value for text in FILES.values() for call in filter(is_register, ast.walk(ast.parse(text)))]
    assert len(names) == len(FILES) == PAGE.count("```python") == 3
    tests = [f"tests/core/test_{kind}.py" for kind in ("exit_rules", "trainings", "backbones")]
    commands = {
        LIST: [],
        RULES: ["--results-dir", "made-up"],
        TRAIN: ["--profile", "smoke", "--train-rows", "64", "--results-dir", "trained"],
        TESTS: ["-rp", "-p", "no:cacheprovider", "-k", " or ".join(names), *tests],
    }
    words = [
        [*command.replace("fastbert ", "python -m fastbert_core ").split()[2:], *more]
        for command, more in commands.items()
    ]
    own = os.environ | {"FASTBERT_RUNS": str(copy / "models")}
    process = [sys.executable, "-c", RUN, json.dumps(words)]
    done = subprocess.run(process, cwd=copy, env=own, capture_output=True, text=True, timeout=600, check=False)
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-1000:]
    return dict(zip(commands, re.split(r"^\$ .*$", done.stdout, flags=re.MULTILINE)[1:], strict=True))


def test_each_file_is_all_that_it_takes(said):
    passed = Counter(re.findall(r"^PASSED tests/core/test_(\w+)\.py", said[TESTS], re.MULTILINE))
    assert passed["exit_rules"] >= 5
    assert passed["trainings"] >= 4
    assert passed["backbones"] >= 10


def test_every_command_is_run_here():
    found = re.findall(r"`((?:python -m|fastbert)\s[^`]+)`", PAGE)
    assert [" ".join(words.split()) for words in found] == [RULES, TRAIN, LIST]


def test_the_rule_has_its_rows(said, copy):
    assert "log-odds" in said[RULES]
    for name in ("exit_rules", "leaderboard"):
        assert "log-odds" in set(read_table(copy / "made-up" / "standard", name)["rule"])


def test_the_training_is_listed_and_runs_to_its_rows(said, copy):
    assert re.search("^labels-after ", said[LIST], re.MULTILINE)
    (run_of,) = find_runs(copy / "trained" / "smoke")
    assert run_of.row["training"] == "labels-after"
    assert {*run_of.sums} == {"dev.npz", "test.npz"}
    assert len(read_table(copy / "trained" / "smoke", "exits")) == 12
