"""The runner itself: an escape is an escape, a mutant that proves nothing is an error, the list is in order."""

import ast
import csv
import json
import subprocess

import pytest

from tests.mutation import MUTANTS, ROOT, MutantError, load, main, mutated

CODE = "def double(x):\n    return 2 * x\n\n\ndef unused(x):\n    return x - 1\n"
TESTS = """
from reproductions.code_ import double
def test_a():
    assert double(0) == 0
def test_b():
    assert double(1) == 2
"""
CAUGHT = {"name": "tripled", "old": "2 * x", "new": "3 * x"}
ESCAPES = {"name": "unused-wrong", "old": "x - 1", "new": "x + 1"}
UNREADABLE = {"name": "unreadable", "old": "def double(x):", "new": "def double(x:"}


@pytest.fixture
def root(tmp_path, monkeypatch):
    """A tree with a tested function and an untested one, for a pytest without plugins, which starts sooner."""
    monkeypatch.setenv("PYTEST_DISABLE_PLUGIN_AUTOLOAD", "1")
    subprocess.run(["git", "init", "-q", str(tmp_path)], check=True)
    (tmp_path / "reproductions").mkdir()
    (tmp_path / "reproductions" / "code_.py").write_text(CODE)
    (tmp_path / "test_code.py").write_text(TESTS)
    return tmp_path


def load_tables(root, *mutants, tier="test_code.py"):
    """The mutants, written to a list beside the tree and read again."""
    tables = [{"what": "…", "tier": tier} | mutant for mutant in mutants]
    lines = [["[[mutant]]", *(f"{key} = {json.dumps(value)}" for key, value in table.items())] for table in tables]
    root.with_suffix(".toml").write_text("\n".join(line for table in lines for line in table), encoding="utf-8")
    return load(root.with_suffix(".toml"))


def run(root, *mutants, tier="test_code.py"):
    """Exit code and report of the runner on these mutants."""
    load_tables(root, *mutants, tier=tier)
    report = root.with_suffix(".csv")
    code = main(["--report", str(report)], root, root.with_suffix(".toml"))
    return code, report.read_text(encoding="utf-8") if report.is_file() else None


def test_an_escape_is_told_and_fails(root):
    code, report = run(root, CAUGHT, ESCAPES)
    assert code == 1
    assert report == "mutant,what,caught_by\ntripled,…,test_code.py::test_b\nunused-wrong,…,\n"
    assert (root / "reproductions" / "code_.py").read_text() == CODE


def test_the_committed_report_tells_of_every_mutant():
    rows = list(csv.reader((ROOT / "docs" / "dev" / "mutations.csv").open(encoding="utf-8")))
    assert [row[0] for row in rows[1:]] == [mutant.name for mutant in load(MUTANTS)]


@pytest.mark.parametrize(
    ("mutant", "tier", "message"),
    [
        (UNREADABLE, "test_code.py", "pytest test_code.py: exit code 2"),
        (CAUGHT, "test_nothing.py", "pytest test_nothing.py: exit code 4"),
    ],
)
def test_what_proves_nothing_is_an_error(root, capsys, mutant, tier, message):
    assert run(root, mutant, tier=tier) == (2, None)
    assert message in capsys.readouterr().err


def test_a_tier_that_fails_without_mutants_is_an_error(root, capsys):
    (root / "reproductions" / "code_.py").write_text(CODE.replace("2 * x", "2 + x"))
    assert run(root, ESCAPES) == (2, None)
    assert "test_code.py::test_a fails without any mutant" in capsys.readouterr().err


@pytest.mark.parametrize(("old", "times"), [("4 * x", 0), ("return", 2)])
def test_a_text_that_does_not_stand_there_once_is_an_error(root, old, times):
    (mutant,) = load_tables(root, CAUGHT | {"old": old})
    with pytest.raises(MutantError, match=f"tripled: found its old text {times} times in .*, expected once"):
        mutated(mutant, root)


def test_a_mutant_is_found_in_whichever_file_and_however_it_is_broken_into_lines(root):
    (root / "reproductions" / "code_.py").unlink()
    (root / "reproductions" / "moved.py").write_text(CODE.replace("2 * x", "(\n        2\n        * x\n    )"))
    (mutant,) = load_tables(root, CAUGHT)
    path, text = mutated(mutant, root)
    assert (path.name, text) == ("moved.py", CODE.replace("2 * x", "(\n        3 * x\n    )"))


@pytest.mark.parametrize("mutant", load(MUTANTS), ids=lambda mutant: mutant.name)
def test_every_mutant_fits_the_tree(mutant):
    path, changed = mutated(mutant, ROOT)
    ast.parse(changed)
    assert changed != path.read_text(encoding="utf-8")
    assert (ROOT / mutant.tier.split("::")[0]).is_file()


def test_the_list_is_long_enough_and_names_are_different():
    names = [mutant.name for mutant in load(MUTANTS)]
    assert len(names) == len(set(names)) >= 18
