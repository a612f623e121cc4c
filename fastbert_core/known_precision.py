"""Which precision is fastest for a model on a kind of machine: tried on calibration texts, kept beside the model."""

import json
from pathlib import Path

import torch

from fastbert_core.errors import InputError, refused
from fastbert_core.files import read_object, write_whole
from fastbert_core.loading import file_beside
from fastbert_core.operating_points import check_weights, weights_sha256
from fastbert_core.precision import ENGINE_PRECISIONS, instruction_set, multiplies_int8

FILE = "precisions.json"


def known_precision(source: str | Path, device: torch.device) -> str:
    """What FILE beside the model `source` (folder or hub id) says of machines whose `device` is like this one's.

    Raises InputError where it says nothing, is damaged, or was made for other weights.
    """
    remedy = "`fastbert calibrate MODEL --texts FILE` tries all on this machine, or name one"
    kind, path = machine(device), file_beside(source, FILE)
    found = _read(path, remedy).get(kind) if path is not None else None
    if found is None:
        raise InputError(f"{source}: found no precision that was tried on {kind}, expected one; {remedy}")
    check_weights(path, found["model_sha256"], remedy)
    return found["precision"]


def keep_precision(folder: Path, device: torch.device, precision: str, tried: list[dict]) -> Path:
    """Write into a model's folder what is fastest on machines like this one, and what was tried; returns the file."""
    path = Path(folder) / FILE
    table = _read(path, "remove it") if path.exists() else {}
    record = {"precision": precision, "model_sha256": weights_sha256(folder), "tried": tried}
    write_whole(path, json.dumps(table | {machine(device): record}, indent=1) + "\n")
    return path


def machine(device: torch.device) -> str:
    """Its kind: the instruction set, and whether a CPU adds up products of int8, on which int8's answers depend too."""
    return instruction_set(device) + (" int8" if device.type == "cpu" and multiplies_int8() else "")


def _read(path: Path, remedy: str) -> dict:
    expected = f"precisions by machine; {remedy}"
    table = read_object(path, expected)
    with refused(f"{path}: found ", f", expected {expected}", (TypeError, KeyError)):
        for row in table.values():
            if not isinstance(row["model_sha256"], str) or row["precision"] not in ENGINE_PRECISIONS:
                known = ", ".join(ENGINE_PRECISIONS)
                raise InputError(f"{path}: found an unknown precision, expected one of {known}; {remedy}")
    return table
