"""Every bench runs, untimed, on a few texts of the smoke model; that of memory, which needs thousands, is left out."""

import os
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]


def test_the_benches_run(tmp_path):
    few = ("--bench-rows", "48", "--bench-singles", "4", "--ignore", "bench/test_memory.py")
    command = (
        sys.executable,
        "-m",
        "pytest",
        "bench",
        "-q",
        "-rs",
        "-p",
        "no:cacheprovider",
        "-p",
        "tests.conftest",
        *few,
    )
    variables = os.environ | {"FASTBERT_RUNS": str(tmp_path)}
    done = subprocess.run(command, cwd=ROOT, env=variables, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout
    assert "THE SMOKE MODEL" in done.stdout
    assert "SKIPPED" not in done.stdout
