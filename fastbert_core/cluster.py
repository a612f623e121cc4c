"""A Ray cluster: joined or started, and of nodes that run the same code and see the same folders."""

import contextlib
import hashlib
import importlib.util
import os
import platform
import socket
import subprocess
import sys
import tempfile
from collections.abc import Callable, Iterator, Sequence
from importlib.metadata import version
from pathlib import Path
from types import ModuleType
from typing import Any

from fastbert_core.errors import InputError, reason

LIBRARIES = ("torch", "transformers", "tokenizers", "numpy")
ANSWER = 5  # seconds that an address has to take a call
JOIN = 30  # seconds that a Ray head has to answer one
PROBE = 120  # seconds that a node has to tell what it runs
# Nothing is reported to anybody, and what the user should know is told by us.
QUIET = {"RAY_USAGE_STATS_ENABLED": "0", "RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO": "0", "RAY_BACKEND_LOG_LEVEL": "fatal"}
# A head that is gone is noticed in seconds.
SOON = {"RAY_gcs_rpc_server_connect_timeout_s": "5"}


def ray_or_error() -> ModuleType:
    """Ray. Raises InputError, with the extra that brings it, where it is not installed."""
    os.environ.update({name: value for name, value in QUIET.items() if name not in os.environ})
    try:
        import ray

        ray.init  # noqa: B018 - where Ray keeps its own files, in /tmp, any folder `ray` can be imported
    except (ImportError, AttributeError):
        remedy = "pip install 'fastbert-core[cluster]' brings it"
        raise InputError(f"--cluster: ray is not installed, expected it; {remedy}") from None
    return ray


@contextlib.contextmanager
def joined(address: str, log: Callable[[str], None]) -> Iterator[None]:
    """Within, this process is a driver of a Ray cluster, of which `log` is told; at the end it leaves, or ends it.

    address: of the cluster's head, `host:port`; or `auto`: what RAY_ADDRESS names, or what runs on this machine, else
        one that is started here for as long as the block takes

    Call `check_answers` first: Ray ends the process whose call is not answered.
    """
    ray, address = ray_or_error(), _named(address)
    options = {"log_to_driver": False, "logging_level": "error"}
    if address != "auto":
        ray.init(address=address, **options)
    else:
        try:
            ray.init(address="auto", **options)
        except ConnectionError:
            address = "started here"
            ray.init(include_dashboard=False, **options)
    try:
        total = ray.cluster_resources()
        cpus, gpus = (round(total.get(name, 0)) for name in ("CPU", "GPU"))
        log(f"cluster {address}: {len(_nodes(ray))} nodes, {cpus} CPUs, {gpus} GPUs")
        yield
    finally:
        ray.shutdown()


def _named(address: str) -> str:
    return (os.environ.get("RAY_ADDRESS") or address) if address == "auto" else address


def check_answers(address: str) -> None:
    """Raise InputError, in seconds, if Ray is not installed, or no head of its version answers at `address`."""
    ray_or_error()
    address = _named(address)
    if address == "auto":
        return
    host, _, port = address.removeprefix("ray://").rpartition(":")
    if not host or not port.isdecimal():
        raise InputError(f"--cluster: found {address!r}, expected auto or host:port, such as 10.0.0.1:6379")
    try:
        socket.create_connection((host.strip("[]"), int(port)), ANSWER).close()
    except (OSError, OverflowError) as error:
        found = f"--cluster: {address} does not answer ({reason(error)})"
        raise InputError(f"{found}, expected the address of a Ray head; `ray start --head` prints it") from None
    # In a process of its own, which Ray may end.
    join = f"import ray; ray.init(address={address!r}, log_to_driver=False, logging_level='error')"
    try:
        done = subprocess.run(
            [sys.executable, "-c", join], env=os.environ | SOON, capture_output=True, text=True, timeout=JOIN
        )
        said = done.stderr.strip().splitlines()[-1:] if done.returncode else None
    except subprocess.TimeoutExpired:
        said = [f"no answer in {JOIN} seconds"]
    if said is not None:
        found = f"--cluster: {address} answers, but not as a Ray head should"
        remedy = "; RAY_AUTH_MODE=token where that asks for a token"
        raise InputError(f"{found} ({' '.join(said)}), expected one of Ray {version('ray')}{remedy}")


def here(packages: Sequence[str]) -> dict[str, str]:
    """What decides what this process computes: versions, and the SHA-256 of the code of our `packages`."""
    found = {"Python": platform.python_version()} | {name: version(name) for name in LIBRARIES}
    for package in packages:
        folder = Path(next(iter(importlib.util.find_spec(package).submodule_search_locations)))
        digest = hashlib.sha256()
        for path in sorted(path for path in folder.rglob("*") if path.suffix in (".py", ".toml", ".csv")):
            digest.update(str(path.relative_to(folder)).encode() + b"\0" + path.read_bytes() + b"\0")
        found[f"code of {package}"] = digest.hexdigest()[:12]
    return found


def check_same(expected: dict[str, str], packages: Sequence[str]) -> None:
    """Raise InputError, naming this machine, if it runs something else than `expected`, the driver's `here`."""
    found = here(packages)
    for name, wanted in expected.items():
        if found[name] != wanted:
            there = f"node {platform.node()}: found {name} {found[name]}"
            raise InputError(f"{there}, expected {wanted} as on the driver; install the same on every node")


def check_nodes(packages: Sequence[str], folders: Sequence[Path], written: Path | None = None) -> None:
    """Raise InputError, naming the node, for one that runs other versions or other code, or lacks one of `folders`.

    written: a folder that nodes write in, which is made, and must be the driver's own seen from there
    """
    ray, marks = ray_or_error(), [str(folder) for folder in folders]
    with contextlib.ExitStack() as stack:
        if written is not None:
            written.mkdir(parents=True, exist_ok=True)
            marks.append(stack.enter_context(tempfile.NamedTemporaryFile(dir=written, prefix=".seen-")).name)
        from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

        probe, told = ray.remote(_probe), {}
        for node in _nodes(ray):
            place = NodeAffinitySchedulingStrategy(node["NodeID"], soft=False)
            options = {"num_cpus": 0, "max_retries": 1, "scheduling_strategy": place}
            told[probe.options(**options).remote(here(packages), packages, marks)] = node["NodeManagerHostname"]
        waiting = list(told)
        while waiting:
            done, waiting = ray.wait(waiting, timeout=PROBE)
            if not done:
                raise InputError(f"node {told[waiting[0]]}: no answer in {PROBE} seconds, expected one")
            try:
                wrong = ray.get(done[0])
            except ray.exceptions.RayError as error:  # as where our packages are not installed
                cause = reason(getattr(error, "cause", None) or error)
                wrong = f"node {told[done[0]]}: found {cause}, expected the same installation on every node"
            if wrong:
                raise InputError(wrong)


def _probe(expected: dict[str, str], packages: Sequence[str], marks: Sequence[str]) -> str | None:
    """What is wrong with the node that this runs on."""
    try:
        check_same(expected, packages)
    except InputError as error:
        return str(error)
    for mark in marks:
        if not os.path.exists(mark):
            hidden = os.path.dirname(mark) if os.path.basename(mark).startswith(".seen-") else mark
            return f"node {platform.node()}: cannot see {hidden}, expected a folder that all machines share"
    return None


def _nodes(ray: ModuleType) -> list[dict[str, Any]]:
    """The nodes that tasks can run on."""
    return [node for node in ray.nodes() if node["Alive"] and node["Resources"].get("CPU")]
