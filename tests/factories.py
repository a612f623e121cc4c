"""Synthetic traces, and results folders that hold them: quick to make, seeded, and alike in what matters."""

import hashlib
import json
import zlib
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from scipy import special

from fastbert_core.packing import packed, unpacked
from fastbert_core.sweep import totals
from fastbert_core.task_types import SINGLE
from fastbert_core.thresholds import GRID, Choice, within
from fastbert_core.trace import Trace
from reproductions.columns import TABLES
from reproductions.seeds import KEY
from reproductions.store import find_runs, put_run, run_folder, runs_table
from reproductions.tables import write_table

BACKBONE = "google-bert/bert-base-chinese"
softmax = partial(special.softmax, axis=-1)
BERT = {"layers": 12, "hidden": 768, "intermediate": 3072, "heads": 12}


def make_trace(
    samples: int = 300,
    classes: int = 2,
    task: str = "book-review",
    training: str = "self-distillation",
    seed: int = 7,
    split: str = "test",
    epoch: int | None = None,
    stage: str | None = None,
    encoder: dict | None = None,
    layers: list[int] | None = None,
    skill: float = 1.0,
) -> Trace:
    """A trace whose deeper layers are surer and more often right, on samples of different difficulty.

    Labels and difficulties depend on task, split and size alone, so all models of a task are made for the same samples.
    layers: the layers that are stored, all of the encoder's by default. skill: higher is more accurate.
    """
    encoder = BERT if encoder is None else encoder
    layers = list(range(1, encoder["layers"] + 1)) if layers is None else layers
    metadata = {
        "task": task,
        "backbone": BACKBONE,
        "training": training,
        "seed": seed,
        "split": split,
        "classes": [f"class {index}" for index in range(classes)],
        "layers": layers,
        "encoder": encoder,
        "precision": "fp32",
    }
    metadata["run_id"] = hashlib.sha256(f"{task} {training} {seed}".encode()).hexdigest()[:12]
    if epoch is not None:
        metadata |= {"epoch": epoch, "stage": stage}
    data = _generator(task, split, samples, classes)
    labels = data.integers(classes, size=samples)
    ease = 1.8 * skill + data.normal(0, 1.5, size=(samples, 1, 1))
    noise = _generator(json.dumps(metadata, sort_keys=True)).normal(size=(samples, len(layers), classes))
    depth = np.array(layers)[:, None] / encoder["layers"]
    right = (labels[:, None] == np.arange(classes))[:, None, :]
    logits = (0.5 + 2.5 * depth) * ease * right + 1.2 * (1.2 - depth) * noise
    return trace_of(as_kept(softmax(logits)), labels, metadata, tokens=data.integers(4, 129, size=samples))


def as_kept(p: np.ndarray) -> np.ndarray:
    """Probabilities, float32, that come back from a file as they are."""
    return unpacked(packed(p.astype(np.float32), SINGLE, SINGLE.kept_to))["probabilities"]


def trace_of(
    probabilities: np.ndarray, labels: np.ndarray, metadata: dict | None = None, tokens: np.ndarray | None = None
) -> Trace:
    """A trace of the given probabilities [samples, layers, classes]; metadata are made up where none are given."""
    samples, layers, classes = probabilities.shape
    metadata = metadata or make_trace(1, classes, encoder={**BERT, "layers": layers}).metadata
    tokens = np.full(samples, 20) if tokens is None else tokens
    return Trace(probabilities.astype(np.float32), labels.astype(np.int64), tokens.astype(np.int32), metadata)


def binary_trace(confidence: np.ndarray, correct: np.ndarray, **metadata: object) -> Trace:
    """A trace of two classes from confidences in [0.5, 1] and bool correctness, both [samples, layers]."""
    labels = np.arange(len(correct)) % 2
    chosen = np.where(correct, labels[:, None], 1 - labels[:, None])
    p = np.where(chosen[..., None] == np.arange(2), confidence[..., None], 1 - confidence[..., None])
    trace = trace_of(p, labels)
    trace.metadata.update(metadata)
    return trace


def make_task(task: str = "book-review", seeds: tuple[int, ...] = (7,), **options: object) -> list[Trace]:
    """Everything a finished task has: FastBERT and its other trainings, DistilBERT, dev and epoch traces."""
    encoder = options.pop("encoder", BERT)
    depth, skill = encoder["layers"], options.pop("skill", 1.0)
    traces = []
    for seed in seeds:
        shared = {"task": task, "seed": seed, "encoder": encoder, "skill": skill, **options}
        traces += [make_trace(**shared), make_trace(split="dev", **shared)]
        traces += [make_trace(**shared | {"training": "labels", "skill": 0.9 * skill})]
        traces += [make_trace(training=training, **shared) for training in ("reverse-kl", "authors")]
        for students in (6, 3, 1):
            student = {**shared, "encoder": {**encoder, "layers": students}, "layers": [students], "skill": 0.8 * skill}
            traces.append(make_trace(training=f"distilbert-{students}", **student))
        for epoch in range(9):
            tuning = epoch < 4
            stage, stored = ("fine-tuning", [depth]) if tuning else ("self-distillation", None)
            traces.append(make_trace(split="dev", epoch=epoch, stage=stage, layers=stored, **shared))
    return traces


def on_encoder(name: str, encoder: dict, **options: object) -> list[Trace]:
    """Test and dev trace of FastBERT on another encoder."""
    traces = [make_trace(split=split, encoder=encoder, **options) for split in ("test", "dev")]
    for trace in traces:
        trace.metadata.update({"backbone": name, "run_id": f"{name}-{trace.metadata['task']}"})
    return traces


def run_row(trace: Trace, **changes: object) -> dict:
    """The row of runs.csv for the run that left `trace`; `changes` replace values."""
    metadata = trace.metadata
    key = {name: metadata[name] for name in ("run_id", *KEY)}
    row = dict.fromkeys(TABLES["runs"]) | {
        **key,
        "profile": "standard",
        "git_sha": "0" * 40,
        "git_dirty": "no",
        "resumed_at": None,
        "date": "2025-01-31T12:00:00+00:00",
        "command": f"python -m reproductions run {metadata['task']}",
        "backbone_sha256": ("b" if metadata["backbone"] == BACKBONE else "e") * 64,
        "data_source": "a folder",
        "data_sha256": "d" * 64,
        "train_rows": 20000,
        "dev_rows": 10000,
        "test_rows": len(trace.labels),
        "hyperparameters": '{"batch": 32}',
        "precision": "bf16",
        "stages": "fine-tuning: bf16, AVX512 avx512_bf16, 2 threads",
        "device": "cpu",
        "threads": 2,
        "versions": '{"torch": "2.13.0"}',
        "wall_seconds": 60.0,
    }
    return row | changes


def runs_of(traces: list[Trace], **changes: object) -> pd.DataFrame:
    """The table of the runs behind `traces`; a run's test rows are its test trace's."""
    rows = {}
    for trace in traces:
        if trace.metadata["run_id"] not in rows or trace.metadata["split"] == "test":
            rows[trace.metadata["run_id"]] = run_row(trace, **changes)
    return pd.DataFrame(list(rows.values()))


def store(results_dir: Path, traces: list[Trace], **changes: object) -> Path:
    """Put the runs of `traces` into a results folder; returns the folder."""
    Path(results_dir).mkdir(parents=True, exist_ok=True)
    for row in runs_of(traces).to_dict("records"):
        mine = [trace for trace in traces if trace.metadata["run_id"] == row["run_id"]]
        put_run(results_dir, row | changes, mine)
    write_table(results_dir, "runs", runs_table(find_runs(results_dir)))
    return Path(results_dir)


def trace_file(folder: Path, name: str = "test.npz", **changes: object) -> Path:
    """Where the trace `name` of a run of `make_trace` lies in a results folder; `changes`: of its key."""
    key = {"task": "book-review", "backbone": BACKBONE, "training": "self-distillation", "seed": 7} | changes
    return run_folder(folder, key) / name


def change_run(folder: Path, changes: dict, **key: object) -> None:
    """Change columns of the run of `make_trace` that `key` names in a results folder."""
    path = trace_file(folder, "run.json", **key)
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def naive(losses: np.ndarray, scores: np.ndarray, tolerated: float) -> Choice:
    """What not to do: the fastest threshold of GRID that loses at most `tolerated` of the calibration rows."""
    kept = within(totals(scores, losses, GRID), len(scores), tolerated)
    return Choice(float(GRID[kept - 1]) if kept else None, "")


def _generator(*key: object) -> np.random.Generator:
    return np.random.default_rng(zlib.crc32(repr(key).encode()))


def load_traces(results_dir: Path, **wanted: object) -> list[Trace]:
    """All traces of a results folder whose metadata equal `wanted`: fields of the key, `split`, `epoch`."""
    traces = []
    for run in find_runs(results_dir):
        if all(run.row[name] == want for name, want in wanted.items() if name in KEY):
            traces += run.traces(**{name: want for name, want in wanted.items() if name not in KEY})
    return traces
