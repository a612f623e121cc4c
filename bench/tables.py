"""The tables of results/bench: where they lie, how rows get there, and how they say where they were measured."""

import json
from datetime import UTC, datetime
from pathlib import Path

import cpuinfo
import pandas as pd
import torch

from reproductions.machines import MEASURED, UNITS, class_of
from reproductions.names import BENCH
from reproductions.provenance import git_state
from reproductions.tables import read_or_empty, write_table

ROOT = Path(__file__).parent.parent / "results"
# By table: new rows replace all that have their values in these columns, and come from a machine of the same class.
# Speeds are not among them, since they differ from run to run; of rivals only the task is, so that none stands beside
# others of another day.
REPLACED_TOGETHER = {
    "efficiency": ("task", "device", "precision", "mode", "batch"),
    "stations": ("task", "device", "precision", "engine"),
    "roofline": ("task", "device", "precision"),
    "agreement": ("task", "device", "precision", "batch"),
    "rates": ("task", "device", "precision", "what"),
    "rule_rates": ("task", "device", "precision", "batch"),
    "memory": (),
    "scaling": ("what", "workers"),
    "rivals": ("task",),
    "load": ("task", "device", "precision", "arrivals"),
}


def check(name: str, smoke: bool) -> None:
    """Raise InputError before anything is measured, if the table that rows will be put into is not in order."""
    read_or_empty(_folder(smoke), name)


def write(name: str, rows: list[dict], smoke: bool) -> Path:
    """Put rows in the place of those that REPLACED_TOGETHER names, atomically; returns the table's path.

    The smoke model's lie in a folder that git ignores.
    Raises InputError, as `read_table` does, if the file that is there is not in order.
    """
    results_dir = _folder(smoke)
    new = {_place(name, row) for row in rows}
    old = read_or_empty(results_dir, name).astype(object)
    kept = old[[_place(name, row) not in new for row in old.to_dict("records")]]
    return write_table(results_dir, name, pd.concat([kept, pd.DataFrame(rows, dtype=object)]))


def _folder(smoke: bool) -> Path:
    return (ROOT / "smoke" if smoke else ROOT) / BENCH


def _place(name: str, row: dict) -> tuple:
    return class_of(row["machine"]), *(row[column] or "" for column in REPLACED_TOGETHER[name])


def facts() -> dict:
    """What `measured` needs beyond pytest-benchmark's own machine_info."""
    return {
        "threads": torch.get_num_threads(),
        "torch": torch.__version__,
        "gpu": torch.cuda.get_device_name() if torch.cuda.is_available() else None,
        "capabilities": json.dumps({name: bool(has) for name, has in torch.cpu.get_capabilities().items()}),
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
    } | git_state()


def here() -> dict[str, str | None]:
    """What `measured` says of this machine, code and moment."""
    return measured({"cpu": cpuinfo.get_cpu_info()} | facts())


def measured(info: dict) -> dict[str, str | None]:
    """The columns MEASURED: the machine in a few words, the commit of the code, and when."""
    has = json.loads(info["capabilities"])
    units = [name for name in UNITS if has.get(name)][:1]
    parts = [info["cpu"].get("brand_raw", "unknown processor"), f"{info['threads']} threads", *units]
    parts += [*([info["gpu"]] if info["gpu"] else []), f"torch {info['torch']}"]
    return {"machine": "; ".join(parts)} | {name: info[name] for name in MEASURED if name != "machine"}
