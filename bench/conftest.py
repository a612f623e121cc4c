"""Which models are measured, on how many texts, where and how precisely."""

import os

import pytest
import torch

from bench import models, tables
from fastbert_core.engine import Engine
from fastbert_core.precision import resolve_precision
from reproductions.sources import runs_folder

TASKS = models.usual()
FACTS = tables.facts()  # at the start: the machine is asked at the end, when the code may have changed
DEVICES = ["cpu", "cuda"] if torch.cuda.is_available() else ["cpu"]
# bf16 only where the device multiplies it in hardware.
PLACES = [
    (device, precision)
    for device in DEVICES
    for precision in dict.fromkeys(["fp32", resolve_precision("auto", torch.device(device))])
]


def pytest_addoption(parser):
    group = parser.getgroup("bench")
    group.addoption("--bench-rows", type=int, default=768, help="texts of throughput (default: 768)")
    group.addoption("--bench-singles", type=int, default=256, help="texts of latency (default: 256)")


@pytest.hookimpl(trylast=True)
def pytest_terminal_summary(terminalreporter):
    terminalreporter.section("what was measured")
    if TASKS != [models.SMOKE]:
        terminalreporter.write_line(f"the trained models of {' and '.join(TASKS)}")
        return
    why = f"{runs_folder()} has none that a runs.csv in runs or results names"
    if not os.environ.get("FASTBERT_DATA"):
        why += ", profile standard's aside: FASTBERT_DATA not set"
    terminalreporter.write_line(f"THE SMOKE MODEL, tiny and random ({why}): this says nothing of FastBERT's speed")


def pytest_benchmark_update_machine_info(machine_info):
    machine_info.update(FACTS)


@pytest.fixture(scope="session", params=TASKS)
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
