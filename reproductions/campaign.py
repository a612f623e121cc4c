"""Runs on a Ray cluster: each a task, tried again elsewhere when its worker dies; the driver alone stores results."""

import os
import platform
from collections.abc import Iterator, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from fastbert_core.cluster import check_nodes, check_same, here, ray_or_error
from fastbert_core.data import TaskData
from fastbert_core.encoder_folder import Backbone
from fastbert_core.errors import InputError, RunError, reason
from fastbert_core.trace import Trace
from reproductions.execute import execute
from reproductions.names import RUNS
from reproductions.plan import Log, Run
from reproductions.settings import Settings
from reproductions.sources import runs_folder

PACKAGES = ("fastbert_core", "reproductions")
RETRIES = 10  # times that a run's worker may die


def on_cluster(runs: Sequence[Run], log: Log, cpus: int) -> Iterator[tuple[Run, dict, list[Trace]]]:
    """Make the runs on the Ray cluster that has been joined: each as it is done, with its row and its traces.

    A run has `cpus` CPUs, and a GPU if that is its device. Those that share their first stage come one after the other,
    since it is locked while one of them learns. A run that fails keeps no other from being made.
    Raises InputError before anything is trained if the cluster cannot make them: for too few CPUs or GPUs, a node of
    other versions, or folders that are not shared; RunError at the end, if a run failed.
    """
    if not runs:
        return
    ray, folder = ray_or_error(), _shared_folder()
    _check_room(ray.cluster_resources(), cpus, runs[0].device)
    # Workers are in other folders than the driver.
    runs = [replace(run, backbone=replace(run.backbone, source=run.backbone.source.absolute())) for run in runs]
    check_nodes(PACKAGES, {run.backbone.source for run in runs}, folder)
    expected, data = here(PACKAGES), {}
    gpus = {"num_gpus": 1} if runs[0].device.type == "cuda" else {}
    task = ray.remote(_task).options(num_cpus=cpus, max_retries=RETRIES, **gpus)

    def submit(run: Run) -> Any:
        if id(run.data) not in data:
            data[id(run.data)] = ray.put(run.data)
        log(f"{run.name}: run {run.run_id}, {len(run.train)} training rows")
        place = {RUNS: str(folder)}
        return task.remote(run.settings, data[id(run.data)], run.backbone, run.device, place, expected, cpus)

    queues: dict[Path, list[Run]] = {}
    for run in runs:
        queues.setdefault(run.first_folder, []).append(run)
    under_way = {submit(queue[0]): queue.pop(0) for queue in queues.values()}
    failed = []
    while under_way:
        (done,), _ = ray.wait(list(under_way))
        run = under_way.pop(done)
        try:
            made = ray.get(done)
        except ray.exceptions.RayTaskError:  # a fault of ours, whose traceback is wanted
            raise
        except ray.exceptions.RayError as error:
            made = f"{run.name}: {reason(error)}"
        if queue := queues[run.first_folder]:
            under_way[submit(queue[0])] = queue.pop(0)
        if isinstance(made, str):
            log(f"{run.name}: failed; {made}")
            failed.append(made)
        else:
            yield run, *made
    if failed:
        raise RunError(f"{len(failed)} of {len(runs)} runs failed, the others are stored; {failed[0]}")


def _task(
    settings: Settings,
    data: TaskData,
    backbone: Backbone,
    device: torch.device,
    variables: dict[str, str],
    expected: dict[str, str],
    threads: int,
) -> tuple[dict, list[Trace]] | str:
    """One run on a worker: its row and traces, or in one line why there are none."""
    os.environ.update(variables)
    torch.set_num_threads(threads)
    run = Run(settings, data, backbone, device)
    try:
        check_same(expected, PACKAGES)
        return execute(run, lambda line: print(line, flush=True))
    except (InputError, RunError, torch.OutOfMemoryError) as error:
        said = str(error)
    except OSError as error:
        said = f"{error.filename or 'input or output'}: {error.strerror or error}"
    return said if said.startswith("node ") else f"node {platform.node()}: {said}"


def _shared_folder() -> Path:
    """Where checkpoints live. Raises InputError for a URL, which is no folder."""
    if "://" in os.environ.get(RUNS, ""):
        raise InputError(f"{RUNS}: found the URL {os.environ[RUNS]}, expected a folder that all machines mount")
    return runs_folder().absolute()


def _check_room(total: dict[str, float], cpus: int, device: torch.device) -> None:
    if total.get("CPU", 0) < cpus:
        raise InputError(f"--cpus: found {cpus}, expected no more than the cluster's {total.get('CPU', 0):.0f}")
    if device.type == "cuda" and not total.get("GPU"):
        raise InputError("--device: found cuda, expected cpu on a cluster without GPUs")
