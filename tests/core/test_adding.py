"""The page on adding: its files, put where it says, pass the contract tests, and its commands do what it says."""

import ast
import os
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from reproductions.store import find_runs
from reproductions.tables import read_table
from tests.factories import make_trace, store

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(fastbert_core/\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
TESTS = ("test_exit_rules.py", "test_trainings.py", "test_backbones.py")
RULES = "python -m reproductions rules all"
TRAIN = "python -m reproductions run dbpedia --training labels-after"
LIST = "fastbert list trainings"


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
    return folder


def run(copy, command, *more):
    """What a command says in the copy, with `more` that keeps it small."""
    words = [sys.executable, *command.replace("fastbert ", "python -m fastbert_core ").split()[1:], *more]
    own = os.environ | {"FASTBERT_RUNS": str(copy / "models")}
    found = subprocess.run(words, cwd=copy, env=own, capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-1000:]
    return found.stdout


def test_each_file_is_all_that_it_takes(copy):
    assert len(FILES) == PAGE.count("```python") == 3
    names = []
    for text in FILES.values():
        (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and is_register(node))
        names.append(call.args[0].value)
    tests = [f"tests/core/{name}" for name in TESTS]
    said = run(copy, "python -m pytest -p no:cacheprovider", "-k", " or ".join(names), *tests)
    passed = int(re.search(r"(\d+) passed", said)[1])
    assert passed >= 20  # of a rule, a training and a family there are so many tests at least


def is_register(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "register"


def test_every_command_is_run_here():
    found = re.findall(r"`((?:python -m|fastbert)\s[^`]+)`", PAGE)
    assert [" ".join(words.split()) for words in found] == [RULES, TRAIN, LIST]


def test_the_rule_has_its_rows(copy):
    results = store(copy / "made-up" / "standard", [make_trace(60, split=split) for split in ("test", "dev")])
    assert "log-odds" in run(copy, RULES, "--results-dir", "made-up")
    for name in ("exit_rules", "leaderboard"):
        assert "log-odds" in set(read_table(results, name)["rule"])


def test_the_training_is_listed_and_runs_to_its_rows(copy):
    assert re.search("^labels-after ", run(copy, LIST), re.MULTILINE)
    run(copy, TRAIN, "--profile", "smoke", "--train-rows", "64", "--results-dir", "trained")
    (run_of,) = find_runs(copy / "trained" / "smoke")
    assert run_of.row["training"] == "labels-after"
    assert {*run_of.sums} == {"dev.npz", "test.npz"}
    assert len(read_table(copy / "trained" / "smoke", "exits")) == 12
