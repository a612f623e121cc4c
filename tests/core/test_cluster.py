"""What is checked of a Ray cluster, without one: addresses, versions, folders. With one: tests/scale."""

import os
import platform
import socket
import sys
import time
from functools import partial

import pytest

from fastbert_core import cli, cluster
from fastbert_core.errors import InputError


@pytest.fixture
def no_ray_needed(monkeypatch):
    """What is asked of the address before Ray is."""
    monkeypatch.setattr(cluster, "ray_or_error", lambda: None)


@pytest.fixture
def silent():
    """The address of something that takes calls and says nothing."""
    with socket.socket() as listening:
        listening.bind(("127.0.0.1", 0))
        listening.listen()
        yield f"127.0.0.1:{listening.getsockname()[1]}"


def test_without_ray_its_extra_is_named(monkeypatch, tmp_path, capsys):
    monkeypatch.setitem(sys.modules, "ray", None)
    words = ["predict", str(tmp_path), "texts.txt", "--cluster", "auto", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--speed", "0.5"]) == 2
    expected = "error: --cluster: ray is not installed, expected it; pip install 'fastbert-core[cluster]' brings it\n"
    assert capsys.readouterr().err == expected
    assert not (tmp_path / "out").exists()


@pytest.mark.parametrize("option", ["--out", "--workers", "--cpus"])
def test_options_of_a_cluster_need_one(option, tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path), "texts.txt", option, "3"]) == 2
    assert capsys.readouterr().err == f"error: {option}: found it without --cluster, expected both\n"


@pytest.mark.parametrize(
    ("more", "told"),
    [
        (["--out", "o", "--budget", "2"], "--budget: found it with --cluster, expected one stream, which"),
        (["--out", "o", "--layers-per-second", "9"], "--layers-per-second: found it with --cluster, expected one"),
        (["--speed", "0.5"], "--cluster: found no --out, expected the folder that gets the results"),
    ],
)
def test_a_cluster_writes_to_a_folder_and_holds_no_stream(more, told, tmp_path, capsys):
    assert cli.main(["predict", str(tmp_path), "texts.txt", "--cluster", "auto", *more]) == 2
    assert capsys.readouterr().err.startswith(f"error: {told}")


@pytest.mark.parametrize(
    ("precision", "told"),
    [
        ("auto", "--precision: found auto with --cluster, expected the same one for all of its machines"),
        ("fp16", "precision: found fp16 on cpu, expected fp32, "),
    ],
)
def test_a_precision_is_checked_before_a_cluster_is_joined(precision, told, tmp_path, capsys):
    words = ["predict", str(tmp_path), "texts.txt", "--cluster", "auto", "--out", str(tmp_path / "out")]
    assert cli.main([*words, "--precision", precision]) == 2
    assert capsys.readouterr().err.startswith(f"error: {told}")


@pytest.mark.parametrize("address", ["head", "head:", ":6379", "ray://head", "head:port"])
def test_what_is_no_address(address, no_ray_needed):
    with pytest.raises(InputError, match=r"expected auto or host:port, such as 10\.0\.0\.1:6379"):
        cluster.check_answers(address)


@pytest.mark.parametrize("address", ["127.0.0.1:1", "127.0.0.1:99999", "no-such-host.invalid:6379"])
def test_an_address_that_does_not_answer_is_told_in_seconds(address, no_ray_needed, monkeypatch):
    of_numbers = partial(socket.getaddrinfo, flags=socket.AI_NUMERICHOST)  # which asks no name server
    monkeypatch.setattr(socket, "getaddrinfo", of_numbers)
    begun = time.monotonic()
    told = rf"--cluster: {address} does not answer \(.*\), expected the address of a Ray"
    with pytest.raises(InputError, match=told):
        cluster.check_answers(address)
    assert time.monotonic() - begun < cluster.ANSWER + 5


def test_something_else_that_answers_is_told(silent, monkeypatch, no_ray_needed):
    monkeypatch.setattr(cluster, "JOIN", 1)
    monkeypatch.setattr(cluster, "version", lambda name: "2.60.0")
    with pytest.raises(InputError, match=r"answers, but not as a Ray head should \(.*\), expected one of Ray 2\.60\.0"):
        cluster.check_answers(silent)


def test_a_node_with_another_version_or_other_code_is_named():
    packages = ("fastbert_core", "reproductions")
    mine = cluster.here(packages)
    cluster.check_same(mine, packages)
    for name in ("torch", "code of reproductions"):
        with pytest.raises(InputError) as told:
            cluster.check_same(mine | {name: "other"}, packages)
        expected = f"found {name} {mine[name]}, expected other as on the driver; install the same on every node"
        assert str(told.value) == f"node {platform.node()}: {expected}"


def test_a_node_that_cannot_see_a_folder_is_named(tmp_path):
    packages = ("fastbert_core",)
    mine = cluster.here(packages)
    assert cluster._probe(mine, packages, [str(tmp_path)]) is None
    told = f"node {platform.node()}: cannot see {tmp_path}/none, expected a folder that all machines share"
    assert cluster._probe(mine, packages, [str(tmp_path / "none")]) == told
    # The driver's own mark in the folder that workers write in: another folder of the same name has none.
    mark = os.path.join(tmp_path, "none", ".seen-x")
    assert cluster._probe(mine, packages, [mark]) == told
