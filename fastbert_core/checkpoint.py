"""Checkpoints: one safetensors file of tensors and state, whole or not there, checked by its hash when read."""

import hashlib
import json
from pathlib import Path

import torch
from safetensors import SafetensorError, safe_open
from safetensors.torch import save_file
from torch import Tensor

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_files, writing


def save_checkpoint(path: Path, tensors: dict[str, Tensor], state: dict) -> None:
    """Write `tensors` and the JSON-like `state` to `path`, in place of what stands there, atomically.

    Raises OSError or RunError, and leaves what stands there, if the file cannot be written.
    """
    tensors = {name: tensor.detach().cpu().contiguous() for name, tensor in tensors.items()}
    text = json.dumps(state, sort_keys=True)
    with atomic_files(path.parent) as folder, writing(path):
        save_file(tensors, folder / path.name, metadata={"state": text, "sha256": _digest(tensors, text)})


def load_checkpoint(path: Path) -> tuple[dict[str, Tensor], dict]:
    """The tensors and state of a checkpoint. Raises InputError, naming the file, if it is damaged."""
    try:
        with safe_open(path, framework="pt") as file:
            metadata = file.metadata() or {}
            tensors = {name: file.get_tensor(name) for name in file.keys()}  # noqa: SIM118 - not a dict
    except (SafetensorError, OSError, ValueError) as error:
        raise InputError(f"{path}: not a readable checkpoint ({error}); delete it to begin the stage again") from error
    text = metadata.get("state", "")
    if _digest(tensors, text) != metadata.get("sha256"):
        raise InputError(f"{path}: found content that does not match its sha256; delete it to begin the stage again")
    return tensors, json.loads(text)


def _digest(tensors: dict[str, Tensor], text: str) -> str:
    digest = hashlib.sha256(text.encode())
    for name in sorted(tensors):
        tensor = tensors[name]
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(tensor.reshape(-1).view(torch.uint8).numpy())
    return digest.hexdigest()
