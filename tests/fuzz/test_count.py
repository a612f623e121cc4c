"""There are as many fuzz inputs as there should be."""

import importlib
from pathlib import Path

from tests.fuzz.harness import EXAMPLES

LEAST = 2000


def test_there_are_enough_inputs():
    for path in Path(__file__).parent.glob("test_*.py"):
        importlib.import_module(f"tests.fuzz.{path.stem}")
    assert sum(EXAMPLES.values()) >= LEAST
