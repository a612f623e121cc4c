"""The tables of results/bench: their columns, where they lie, and how they name the machine."""

import csv
import io
import json
from pathlib import Path

import torch

from bench.subjects import SMOKE
from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write

ROOT = Path(__file__).parent.parent / "results"
COLUMNS = {
    "efficiency": (
        "task",
        "device",
        "precision",
        "mode",
        "batch",
        "speed",
        "mean_layers",
        "flops_speedup",
        "measured_speedup",
        "efficiency",
        "efficiency_end_to_end",
        "overhead_at_speed_0",
        "fixed_cost_us",
        "samples_per_second",
        "machine",
    ),
    "stations": (
        "task",
        "device",
        "precision",
        "engine",
        "speed",
        "station",
        "layer",
        "seconds",
        "share",
        "machine",
    ),
    "roofline": (
        "task",
        "device",
        "precision",
        "matrix_gflops",
        "dense_gflops",
        "dense_share",
        "engine_gflops",
        "engine_share",
        "machine",
    ),
    "rivals": (
        "task",
        "rival",
        "precision",
        "batch",
        "samples_per_second",
        "accuracy",
        "ours_precision",
        "ours_batch",
        "ours_samples_per_second",
        "ours_accuracy",
        "ours_over_rival",
        "machine",
    ),
}


def folder(smoke: bool) -> Path:
    """Where the tables lie; the smoke model's in a folder that git ignores."""
    return ROOT / "smoke" / "bench" if smoke else ROOT / "bench"


def read(name: str) -> list[dict[str, str]]:
    """The committed rows of a table, [] where there is none. Raises InputError for other columns than COLUMNS."""
    return _read(folder(smoke=False) / f"{name}.csv", COLUMNS[name])


def write(name: str, rows: list[dict]) -> Path:
    """Put rows in the place of those of the same tasks and devices, atomically; returns the table's path."""
    path = folder(any(row["task"] == SMOKE for row in rows)) / f"{name}.csv"
    measured = {_place(row) for row in rows}
    kept = [row for row in _read(path, COLUMNS[name]) if _place(row) not in measured]
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS[name], lineterminator="\n")
    writer.writeheader()
    writer.writerows(sorted([*kept, *rows], key=_place))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return path


def _place(row: dict) -> tuple[str, str]:
    return row["task"], row.get("device", "cpu")


def _read(path: Path, columns: tuple[str, ...]) -> list[dict[str, str]]:
    if not path.is_file():
        return []
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != columns:
            raise InputError(f"{path}, line 1: found columns {reader.fieldnames}, expected {list(columns)}")
        return list(reader)


def machine_facts() -> dict:
    """What `describe` needs beyond pytest-benchmark's own machine_info."""
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "capabilities": json.dumps({name: bool(has) for name, has in torch.cpu.get_capabilities().items()}),
    }


def describe(info: dict) -> str:
    """The machine in a few words: processor, threads, its best vector or matrix units, GPU, PyTorch."""
    has = json.loads(info["capabilities"])
    units = [name for name in ("amx_bf16", "avx512_bf16", "avx512_f", "avx2") if has.get(name)][:1]
    parts = [info["cpu"].get("brand_raw", "unknown processor"), f"{info['threads']} threads", *units]
    return "; ".join([*parts, *([info["gpu"]] if info["gpu"] else []), f"torch {info['torch']}"])
