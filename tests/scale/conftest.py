"""A Ray cluster of two nodes of one CPU each, on this machine; without Ray nothing of this folder is collected."""

import importlib.util
import os
import subprocess
import sys
from pathlib import Path
from typing import NamedTuple

import pytest

collect_ignore_glob = [] if importlib.util.find_spec("ray") else ["test_*.py"]  # tox -e scale has it
ROOT = Path(__file__).parents[2]
ONE = ("dbpedia", "--profile", "smoke", "--precision", "fp32", "--training", "self-distillation")
RUN = (*ONE, "--training", "labels")
SMALL = {"num_cpus": 1, "object_store_memory": 128 * 2**20}
# What nodes inherit. Ray gives its workers the least share of a CPU that others want too.
# A driver that finds a cluster by itself takes the token that another has left in the home; these nodes ask for none.
VARIABLES = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_worker_niceness": "0", "PYTHONPATH": str(ROOT)}
VARIABLES |= {"RAY_AUTH_MODE": "disabled"}
VARIABLES |= {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false"}


class Done(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str


def command(*words: object, runs: Path | None = None, **options: object) -> Done:
    """Run the interpreter from the checkout, checkpoints in `runs`."""
    variables = os.environ | VARIABLES | ({"FASTBERT_RUNS": str(runs)} if runs else {})
    call = [sys.executable, *map(str, words)]
    done = subprocess.run(call, cwd=ROOT, env=variables, capture_output=True, text=True, timeout=600, **options)
    return Done(done.returncode, done.stdout, done.stderr)


@pytest.fixture(scope="session")
def cluster():
    """The address of a cluster's head."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in VARIABLES.items():
            patch.setenv(name, value)
        from ray.cluster_utils import Cluster

        nodes = Cluster(initialize_head=True, head_node_args=SMALL | {"include_dashboard": False})
        nodes.add_node(**SMALL)
        yield nodes.address
        nodes.shutdown()


@pytest.fixture(scope="session")
def plain(tmp_path_factory):
    """A plain run of dbpedia's smoke profile: its results folder."""
    results = tmp_path_factory.mktemp("plain")
    done = command("-m", "reproductions", "run", *RUN, "--results-dir", results, runs=tmp_path_factory.mktemp("runs"))
    assert done.code == 0, done.err
    return results / "smoke"
