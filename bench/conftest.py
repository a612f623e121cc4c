"""Which models are measured, on how many texts, where and how precisely."""

import os

import pytest
import torch

from bench import models, tables
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.precision import resolve_precision
from reproductions.sources import runs_folder

FACTS = tables.facts()  # at the start: the machine is asked at the end, when the code may have changed
NAMES = pytest.StashKey[list[str]]()
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# bf16 only where the device multiplies it in hardware.
PLACES = [
    (device, precision)
    for device in DEVICES
    for precision in dict.fromkeys(["fp32", resolve_precision("auto", torch.device(device))])
]


def pytest_addoption(parser):
    group = parser.getgroup("bench")
    group.addoption("--bench-models", nargs="+", metavar="TASK[/ENCODER]", help="default: one of each encoder")
    group.addoption("--bench-rows", type=int, default=768, help="texts of throughput (default: 768)")
    group.addoption("--bench-singles", type=int, default=256, help="texts of latency (default: 256)")


def pytest_configure(config):
    asked = config.getoption("--bench-models")
    try:
        config.stash[NAMES] = models.asked(asked) if asked else models.usual()
    except InputError as error:
        raise pytest.UsageError(error) from None


def pytest_generate_tests(metafunc):
    if "whole" in metafunc.fixturenames:
        metafunc.parametrize("whole", metafunc.config.stash[NAMES], indirect=True, scope="session")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter, config):
    names = config.stash[NAMES]
    terminalreporter.section("what was measured")
    if names != [models.SMOKE]:
        terminalreporter.write_line(f"the trained models of {' and '.join(names)}")
        return
    why = f"{runs_folder()} has none that a runs.csv in runs or results names"
    if not os.environ.get("FASTBERT_DATA"):
        why += ", profile standard's aside: FASTBERT_DATA not set"
    terminalreporter.write_line(f"THE SMOKE MODEL, tiny and random ({why}): this says nothing of FastBERT's speed")


def pytest_benchmark_update_machine_info(machine_info):
    machine_info.update(FACTS)


@pytest.fixture(scope="session")
def whole(request):
    """A subject with all its texts."""
    return models.load(request.param)


@pytest.fixture(scope="session")
def subject(whole, request):
    """A subject with as many texts as throughput is timed on."""
    return models.sample(whole, request.config.getoption("--bench-rows"))


@pytest.fixture(scope="session")
def singles(whole, request):
    """A subject with as many texts as latency is timed on."""
    return models.sample(whole, request.config.getoption("--bench-singles"))


@pytest.fixture(scope="session", params=PLACES, ids="-".join)
def engine(whole, request):
    """The subject's engine on a device and in a precision."""
    device, precision = request.param
    return Engine(whole.model, whole.tokenizer, precision, device)
