"""The fuzz tests can fail, and there are as many inputs as there should be."""

import importlib
import time
from pathlib import Path

import pytest

from fastbert_core.errors import InputError
from tests.fuzz import harness
from tests.fuzz.harness import EXAMPLES, REFUSED, outcome

LEAST = 2000


def test_there_are_enough_inputs():
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.fuzz.{path.stem}")
    assert sum(EXAMPLES.values()) >= LEAST


def refuse(message):
    raise InputError(message)


def test_a_refusal_must_name_the_file(tmp_path):
    assert outcome(refuse, "x.tsv:3: found", folder=tmp_path, name="x.tsv") is REFUSED
    with pytest.raises(AssertionError):
        outcome(refuse, "line 3: found", folder=tmp_path, name="x.tsv")


def test_any_other_error_fails(tmp_path):
    with pytest.raises(ZeroDivisionError):
        outcome(lambda: 1 / 0, folder=tmp_path, name="")


def test_a_file_left_behind_fails(tmp_path):
    with pytest.raises(AssertionError):
        outcome((tmp_path / "new").touch, folder=tmp_path, name="")
    with pytest.raises(AssertionError):
        outcome((tmp_path / "new").write_text, "changed", folder=tmp_path, name="")


def test_a_hang_fails(tmp_path, monkeypatch):
    monkeypatch.setattr(harness, "SECONDS", 1)
    with pytest.raises(TimeoutError):
        outcome(time.sleep, 60, folder=tmp_path, name="")
