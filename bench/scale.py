"""`python -m bench.scale`: two workers of one core each over one of them, in training and in predicting, as a ratio.

The model is random, 6x256: a ratio of seconds does not depend on what a model has learnt. Training counts an epoch
after the first; predicting counts the start of its engines, so its ratio is at least what is said.
"""

import argparse
import json
import os
import re
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import numpy as np
import torch

from bench import tables
from fastbert_core.arguments import ArgumentParser, command_line
from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.encoding import encode
from fastbert_core.errors import RunError
from fastbert_core.model import FastBertModel
from fastbert_core.processes import processes
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.trainings import TRAININGS, Schedule, Schedules

ROOT = Path(__file__).parent.parent
ROWS, TEXTS = 2048, 40_000  # trained on, and predicted
SPEED = 0.5
ALONE = {"OMP_NUM_THREADS": "1", "TOKENIZERS_PARALLELISM": "false", "RAY_worker_niceness": "0"}


@command_line
def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = ArgumentParser(prog="python -m bench.scale", description=__doc__.splitlines()[0])
    parser.add_argument("--smoke", action="store_true", help="a twentieth of the work, into the folder of smoke models")
    parser.add_argument("--train", type=Path, help=argparse.SUPPRESS)  # what each of the processes does
    parser.add_argument("--rows", type=int, help=argparse.SUPPRESS)
    options = parser.parse_args(arguments)
    if options.train:
        _train(options.train, options.rows)
        return 0
    rows, texts = (ROWS // 20, TEXTS // 20) if options.smoke else (ROWS, TEXTS)
    tables.check("scaling", options.smoke)
    where, found = tables.here(), []
    with tempfile.TemporaryDirectory() as scratch:
        for what, samples, timed in (("training", rows, _training), ("predicting", texts, _predicting)):
            one, two = (timed(Path(scratch), workers, samples) for workers in (1, 2))
            row = {"what": what, "workers": 2, "samples": samples, "one_seconds": one, "seconds": two}
            found.append(row | {"ratio": one / two} | where)
    print(tables.write("scaling", found, options.smoke))
    return 0


def _training(folder: Path, count: int, rows: int) -> float:
    """Seconds of an epoch by so many processes."""
    launch = ("accelerate.commands.launch", "--multi_gpu", "--num_processes", 2, "--num_machines", 1)
    launch += ("--mixed_precision", "no", "--dynamo_backend", "no", "-m")
    own = folder / f"training-{count}"
    own.mkdir()
    _run("-m", *(launch if count > 1 else ()), "bench.scale", "--train", own, "--rows", rows)
    return float((own / "seconds").read_text())


def _train(folder: Path, rows: int) -> None:
    """Two epochs; the main process writes the seconds of the second."""
    together, times = processes("cpu"), []
    with together.main_first():
        source, texts = _encoder(folder, rows)
    labels = np.arange(rows) % 2
    samples = Samples(encode(load_tokenizer(source), texts), labels)
    torch.manual_seed(7)
    model = FastBertModel.from_backbone(source, ["a", "b"])
    place = Workplace(
        folder,
        *(0, "fp32", lambda line: None),
        after_epoch=lambda *_: times.append(time.perf_counter()),
        processes=together,
    )
    schedule = Schedule(2, 1e-4)
    (stage,) = TRAININGS["labels"](Schedules(schedule, schedule))
    few = Samples(encode(load_tokenizer(source), texts[:32]), labels[:32])
    train(model, stage, samples, few, place)
    if together.main:
        (folder / "seconds").write_text(str(times[2] - times[1]))


def _encoder(folder: Path, texts: int) -> tuple[Path, list[str]]:
    """A random encoder, and texts of its words of 8 to 64 words each."""
    rng = np.random.default_rng(0)
    words = np.array([f"w{number}" for number in range(1000)])
    made = [" ".join(rng.choice(words, rng.integers(8, 65))) for _ in range(texts)]
    return tiny(folder / "encoder", made, layers=6, hidden=256).source, made


def _predicting(folder: Path, workers: int, texts: int) -> float:
    """Seconds that so many engines on a cluster of two CPUs need for `texts` texts, with what they need to start."""
    model, files = folder / "model", folder / "texts"
    if not model.exists():
        source, made = _encoder(folder, texts)
        torch.manual_seed(7)
        FastBertModel.from_backbone(source, ["a", "b"]).save_pretrained(model)
        load_tokenizer(source).save_pretrained(model)
        files.mkdir()
        for part in range(4):  # files that can be read at the same time
            (files / f"{part}.txt").write_text("\n".join(made[part::4]) + "\n")
    words = (model, files, "--out", folder / f"out-{workers}", "--speed", SPEED)
    said = _run("-m", "fastbert_core", "predict", *words, "--cluster", "auto", "--workers", workers)
    return float(re.search(r"texts in ([\d.]+) s", said)[1])


def _run(*words: object) -> str:
    """What a command of Python says on stderr. Raises RunError if it fails."""
    variables = os.environ | ALONE | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run([sys.executable, *map(str, words)], env=variables, capture_output=True, text=True)
    if done.returncode:
        last = (done.stderr.strip().splitlines() or [""])[-1]
        raise RunError(f"{json.dumps([*map(str, words)])} ended with {done.returncode}: {last}")
    return done.stderr


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
