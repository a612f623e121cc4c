"""Runs on a cluster: what a plain run stores, though a worker is killed in the middle."""

import json
import os
import signal
import threading
import time
from pathlib import Path

from tests.scale.conftest import RUN, command

# What a run's record says of the place and the time, and what of it is not the same twice.
OF_THE_PLACE = {"date", "wall_seconds", "command", "git_sha", "git_dirty", "resumed_at"}


def kill_a_worker(runs, killed):
    """Once a checkpoint is there, kill the worker that wrote it, as the kernel kills one when memory runs out."""
    while not (written := list(runs.glob("*/*-checkpoint.safetensors"))):
        time.sleep(0.05)
    holder = json.loads((written[0].parent / ".lock.json").read_text())
    os.kill(holder["pid"], signal.SIGKILL)
    killed.append(holder["pid"])


def contents(results):
    """Every file's bytes; of a run's record, what does not tell of place and time."""
    found = {}
    for path in sorted(path for path in results.rglob("*") if path.is_file() and not path.name.startswith(".")):
        name = str(path.relative_to(results))
        if path.name == "run.json":
            found[name] = {key: value for key, value in json.loads(path.read_text()).items() if key not in OF_THE_PLACE}
        elif path.name != "runs.csv":
            found[name] = path.read_bytes()
    return found


def test_a_campaign_with_a_killed_worker_stores_what_a_plain_run_stores(cluster, plain, tmp_path):
    runs, killed = tmp_path / "runs", []
    runs.mkdir()
    murder = threading.Thread(target=kill_a_worker, args=(runs, killed))
    murder.start()
    words = ("-m", "reproductions", "run", *RUN, "--results-dir", tmp_path / "results", "--cluster", cluster)
    done = command(*words, runs=runs)
    murder.join(1)
    assert done.code == 0, done.err
    assert len(killed) == 1
    assert f"cluster {cluster}: 2 nodes, 2 CPUs, 0 GPUs" in done.out
    told = "".join(path.read_text() for path in Path("/tmp/ray/session_latest/logs").glob("worker-*.out"))
    assert "continuing at step" in told
    expected, found = contents(plain), contents(tmp_path / "results" / "smoke")
    assert [name for name in expected if expected[name] != found.get(name)] == []
    assert len(found) == len(expected) > 10

    again = command(*words, runs=runs)
    assert again.code == 0
    assert again.out.count("stands in") == 2


def test_a_gpu_that_the_cluster_does_not_have(cluster, tmp_path):
    words = ("-m", "reproductions", "run", *RUN, "--results-dir", tmp_path, "--cluster", cluster, "--device", "cuda")
    done = command(*words, runs=tmp_path / "runs")
    assert done.code == 2
    assert done.err.splitlines()[-1] == "error: --device: found cuda, expected cpu on a cluster without GPUs"
    done = command(*words[:-2], "--cpus", 3, runs=tmp_path / "runs")
    assert done.code == 2
    assert done.err.splitlines()[-1] == "error: --cpus: found 3, expected no more than the cluster's 2"
