"""The tables of results/bench: their columns, where they lie, and how they name the machine."""

import csv
import io
import json
from pathlib import Path

import torch

from bench.subjects import SMOKE
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


def write(name: str, rows: list[dict]) -> Path:
    """Write a table atomically; returns its path. The smoke model's go to a folder that git ignores."""
    text = io.StringIO()
    writer = csv.DictWriter(text, COLUMNS[name], lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    smoke = any(row["task"] == SMOKE for row in rows)
    path = (ROOT / "smoke" / "bench" if smoke else ROOT / "bench") / f"{name}.csv"
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())
    return path


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
