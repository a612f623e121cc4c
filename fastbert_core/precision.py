"""Which arithmetic a device does well."""

import contextlib
from typing import TYPE_CHECKING

from fastbert_core.errors import InputError

if TYPE_CHECKING:  # it takes seconds, and the names below are wanted without it
    import torch

PRECISIONS = ("auto", "fp32", "bf16")
DEVICES = ("cpu", "cuda")


def resolve_device(name: str) -> "torch.device":
    """`cpu` or `cuda` as a torch device. Raises InputError if it is not there."""
    import torch

    if name not in DEVICES:
        raise InputError(f"device: found {name!r}, expected one of {', '.join(DEVICES)}")
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError("device: found no CUDA device, expected one for --device cuda")
    return torch.device(name)


def resolve_precision(name: str, device: "torch.device") -> str:
    """`fp32` or `bf16`; `auto` takes bf16 where the device multiplies it in hardware.

    Without such hardware PyTorch emulates bf16, a hundred times slower than fp32.
    """
    import torch

    if name not in PRECISIONS:
        raise InputError(f"precision: found {name!r}, expected one of {', '.join(PRECISIONS)}")
    if name != "auto":
        return name
    if device.type == "cuda":
        return "bf16" if torch.cuda.is_bf16_supported(including_emulation=False) else "fp32"
    capabilities = torch.cpu.get_capabilities()
    return "bf16" if capabilities.get("amx_bf16") or capabilities.get("avx512_bf16") else "fp32"


def autocast(device: "torch.device", precision: str) -> contextlib.AbstractContextManager:
    """The context in which a model runs in `precision` (`fp32` or `bf16`) on `device`."""
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
