"""Peak memory of a stream: it must not grow with the number of texts."""

import itertools
import re
import subprocess
import sys
from pathlib import Path

import pytest

from bench import models
from fastbert_core.arguments import ArgumentParser
from fastbert_core.engine import Engine

SHORT, GROWTH = 10_000, 1.3


@pytest.mark.benchmark(group="memory")
def test_peak_memory_is_flat(benchmark):
    """A million short texts against ten thousand, on the smoke model, whose own memory hides the least."""
    texts = 2 * SHORT if benchmark.disabled else 1_000_000
    few, many = peak_of(SHORT), benchmark.pedantic(peak_of, (texts,), rounds=1)
    benchmark.extra_info.update(texts=texts, peak_mib=many, few_texts=SHORT, few_peak_mib=few)
    assert many <= GROWTH * few


def peak_of(texts: int) -> float:
    """MiB at the peak of a process that streams so many texts."""
    command = [sys.executable, "-m", "bench.test_memory", str(texts)]
    return float(subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True).stdout)


def stream(texts: int) -> None:
    """Predict so many short texts at the smoke model's speed of a quarter of the layers; prints the peak in MiB."""
    subject = models.load(models.SMOKE)
    source = (
        f"{text[:20]} {number}"
        for number, text in zip(range(texts), itertools.cycle(subject.split.texts), strict=False)
    )
    found = sum(1 for _ in Engine(subject.model, subject.tokenizer).predict(source, subject.speed(4)))
    assert found == texts
    # Not getrusage: its maximum is handed down from the process that started this one.
    peak = re.search(r"VmHWM:\s+(\d+) kB", Path("/proc/self/status").read_text())
    print(int(peak[1]) / 1024)


if __name__ == "__main__":
    parser = ArgumentParser(prog="python -m bench.test_memory", description=__doc__)
    parser.add_argument("texts", type=int, help="how many to stream")
    stream(parser.parse_args().texts)
