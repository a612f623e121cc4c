"""What is wrong with a cluster is told before anything is done, in one line and in seconds."""

import socket
import time

import pytest

from fastbert_core import cluster as module
from fastbert_core.errors import InputError
from tests.scale.conftest import RUN, command

PACKAGES = ("fastbert_core", "reproductions")


def test_an_address_where_no_ray_head_answers(tmp_path):
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        address, begun = f"127.0.0.1:{silent.getsockname()[1]}", time.monotonic()
        done = command("-m", "reproductions", "run", *RUN, "--results-dir", tmp_path / "results", "--cluster", address)
    assert done.code == 2
    assert time.monotonic() - begun < module.JOIN + 30  # of which starting Python on a busy machine takes most
    (line,) = done.err.splitlines()
    assert line.startswith(f"error: --cluster: {address} answers, but not as a Ray head should")
    assert not (tmp_path / "results").exists()


def test_nodes_are_asked_what_they_run_and_see(cluster, tmp_path, monkeypatch):
    with module.joined(cluster, print):
        module.check_nodes(PACKAGES, [tmp_path], tmp_path / "runs")
        assert list((tmp_path / "runs").iterdir()) == []
        with pytest.raises(
            InputError, match=r"node .*: cannot see /no/such/folder, expected a folder that all machines"
        ):
            module.check_nodes(PACKAGES, ["/no/such/folder"])
        mine = module.here(PACKAGES)
        monkeypatch.setattr(module, "here", lambda packages: mine | {"torch": "1.0"})
        with pytest.raises(InputError, match=r"node .*: found torch \S+, expected 1.0 as on the driver"):
            module.check_nodes(PACKAGES, [])
