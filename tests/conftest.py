"""What all tests share: no deadline for hypothesis, since the machine may be busy, and the same examples every time.

FASTBERT_TEST_AUTO=bf16 or fp32 makes `--precision auto` mean that on the CPU, whatever it multiplies in hardware: no
test may depend on it. Tests that start a process of pytest hand it this file by `-p tests.conftest`.
"""

import os

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; before anything imports torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

from fastbert_core import precision

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

if AUTO := os.environ.get("FASTBERT_TEST_AUTO"):
    assert AUTO in ("fp32", "bf16"), f"FASTBERT_TEST_AUTO: found {AUTO!r}, expected fp32 or bf16"
    precision.multiplies_bf16 = lambda device: AUTO == "bf16"
