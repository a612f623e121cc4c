"""What a worker of a campaign tells the driver, without a cluster. With one: tests/scale."""

import errno
import os
import platform
import sys

import pytest
import torch

from fastbert_core import cluster
from fastbert_core.errors import InputError, RunError
from reproductions import campaign, cli

NODE = f"node {platform.node()}: "


def task(**given):
    words = {"settings": None, "data": None, "backbone": None, "device": torch.device("cpu"), "threads": 1}
    words |= {"variables": {}, "expected": cluster.here(campaign.PACKAGES)} | given
    return campaign._task(**words)


@pytest.mark.parametrize(
    ("error", "told"),
    [
        (
            OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), "/shared/x.safetensors"),
            "/shared/x.safetensors: No space left",
        ),
        (RunError("fine-tuning: the loss became nan at step 3 of 9"), "fine-tuning: the loss became nan at step 3"),
        (InputError("/shared/run.json: no record of a run"), "/shared/run.json: no record"),
    ],
)
def test_what_ends_a_run_is_told_with_its_node(error, told, monkeypatch):
    def execute(run, log):
        raise error

    monkeypatch.setattr(campaign, "execute", execute)
    assert task().startswith(NODE + told)


def test_a_worker_that_came_later_is_checked_too():
    expected = cluster.here(campaign.PACKAGES) | {"transformers": "4.0.0"}
    assert task(expected=expected).startswith(f"{NODE}found transformers ")


def test_checkpoints_at_a_url_are_refused(monkeypatch):
    monkeypatch.setenv("FASTBERT_RUNS", "s3://bucket/runs")
    with pytest.raises(InputError, match="found the URL s3://bucket/runs, expected a folder that all machines mount"):
        campaign._shared_folder()


def test_a_run_without_ray_names_its_extra(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["run", "dbpedia", "--profile", "smoke", "--results-dir", str(tmp_path), "--cluster", "auto"]
    assert cli.main(words) == 2
    expected = "error: --cluster: ray is not installed, expected it; pip install 'fastbert-core[cluster]' brings it\n"
    assert capsys.readouterr().err == expected
    assert list(tmp_path.iterdir()) == []


def test_a_precision_that_no_gpu_decides(capsys, monkeypatch):
    pytest.importorskip("ray")  # which is asked for first
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(cluster, "check_answers", lambda address: None)
    words = ["run", "dbpedia", "--profile", "smoke", "--cluster", "auto", "--device", "cuda"]
    assert cli.main(words) == 2
    assert "--precision: found auto, expected bf16 or fp32 where there is no GPU to ask" in capsys.readouterr().err
