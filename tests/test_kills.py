"""A run of two models that is killed at random points: `python -m tests.reliability` in small."""

import subprocess
import sys

import pytest

from tests.project import ROOT

KILLS = """
import sys
from tests import reliability
reliability.RUN += ("--training", "self-distillation", "--training", "distilbert-3")  # half of the profile's
sys.exit(reliability.main(["--kills", "3", "--only", "kills"]))
"""


@pytest.mark.smoke
@pytest.mark.skipif(sys.platform != "linux", reason="a fork is Linux's here")
def test_a_run_that_is_killed_three_times_loses_nothing():
    """In an interpreter of its own: runs are forked from it, and a fork has none of torch's threads."""
    done = subprocess.run([sys.executable, "-c", KILLS], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "; wrong: 0" in done.stdout  # a run that is faster than the first may pass a point before it is struck
