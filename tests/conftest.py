"""What all tests share: no deadline for hypothesis, since the machine may be busy, and the same examples every time.

No test sees data or models that the user has named. FASTBERT_TEST_AUTO=bf16 or fp32 makes `--precision auto` mean that
on the CPU, whatever it multiplies in hardware: no test may depend on it. Tests that start a process of pytest hand it
this file by `-p tests.conftest`.
"""

import gc
import os

if "PYTEST_XDIST_WORKER" in os.environ:  # workers share the cores; before anything imports torch
    os.environ.setdefault("OMP_NUM_THREADS", "1")

from hypothesis import settings

from fastbert_core import precision

# torch and transformers make a million objects that stay: looking through them takes a sixth of their import's time.
gc.set_threshold(100_000)

settings.register_profile("suite", deadline=None, derandomize=True)
settings.load_profile("suite")

for name in ("FASTBERT_DATA", "FASTBERT_MODELS"):
    os.environ.pop(name, None)

if AUTO := os.environ.get("FASTBERT_TEST_AUTO"):
    assert AUTO in ("fp32", "bf16"), f"FASTBERT_TEST_AUTO: found {AUTO!r}, expected fp32 or bf16"
    precision.multiplies_bf16 = lambda device: AUTO == "bf16"

# Files of few tests that take long. Where workers share the files, these come first, or one worker would end the run
# alone with them: pytest-xdist's own order is by number of tests, the fewest last.
LONGEST = ("reproductions/test_cli.py", "reproductions/test_every_task.py", "reproductions/test_more_tasks.py")
LONGEST += ("core/test_cli.py", "core/test_quickstart.py", "core/test_cli_types.py", "core/test_adding.py")
LONGEST += ("tests/test_kills.py",)


def pytest_configure(config):
    if hasattr(config.option, "loadscopereorder"):  # where there is pytest-xdist
        config.option.loadscopereorder = False


def pytest_collection_modifyitems(items):
    items.sort(key=lambda item: not item.path.as_posix().endswith(LONGEST))
