"""Which arithmetic a device does well."""

import contextlib
import re
from typing import TYPE_CHECKING

from fastbert_core.errors import InputError

if TYPE_CHECKING:  # it takes seconds, and the names below are wanted without it
    import torch

PRECISIONS = ("auto", "fp32", "bf16")  # of training, and of engines
ENGINE_PRECISIONS = (*PRECISIONS, "fp16", "int8")
FASTEST = "fastest"  # of an engine: what `fastbert calibrate` has found, of the model, on a machine like this one
DEVICES = ("cpu", "cuda")
PLACE = re.compile(r"cpu|cuda(:(0|[1-9][0-9]?))?")
# What a CPU multiplies bf16 and int8 with, by PyTorch's names.
BF16_UNITS = ("amx_bf16", "avx512_bf16")
INT8_UNITS = ("amx_int8", "avx512_vnni", "avx_vnni")


def resolve_device(name: str) -> "torch.device":
    """`cpu`, `cuda` or `cuda:N` as a torch device; `auto` takes CUDA where it is. InputError if it is not there."""
    import torch

    there = torch.cuda.device_count()
    if name == "auto":
        name = "cuda" if there else "cpu"
    if not PLACE.fullmatch(str(name)):
        raise InputError(f"device: found {str(name)!r}, expected auto, cpu, cuda or cuda:N")
    device = torch.device(name)
    if device.type == "cuda" and (device.index or 0) >= there:
        found = f"{there or 'no'} CUDA device{'s' * (there > 1)}{', the first of them cuda:0' * (there > 0)}"
        raise InputError(f"device: found {found}, expected one for --device {name}")
    return device


def resolve_precision(name: str, device: "torch.device", known: tuple[str, ...] = PRECISIONS) -> str:
    """One of `known`; `auto` takes bf16 where the device multiplies it in hardware, else fp32.

    Without such hardware PyTorch emulates bf16, a hundred times slower than fp32. Raises InputError for another name,
    and for fp16 on a CPU or int8 on a GPU, which nothing here multiplies.
    """
    if name not in known:
        raise InputError(f"precision: found {name!r}, expected one of {', '.join(known)}")
    if {"fp16": "cpu", "int8": "cuda"}.get(name) == device.type:
        raise InputError(f"precision: found {name} on {device.type}, expected {', '.join(candidates(device))} or auto")
    if name != "auto":
        return name
    return "bf16" if multiplies_bf16(device) else "fp32"


def candidates(device: "torch.device") -> list[str]:
    """The precisions that may be an engine's fastest on `device`, fp32 first."""
    bf16 = ["bf16"] if multiplies_bf16(device) else []
    return ["fp32", *bf16, "int8" if device.type == "cpu" else "fp16"]


def multiplies_bf16(device: "torch.device") -> bool:
    """Whether `device` multiplies bf16 in hardware."""
    import torch

    if device.type == "cuda":
        return torch.cuda.is_bf16_supported(including_emulation=False)
    return any(torch.cpu.get_capabilities().get(unit) for unit in BF16_UNITS)


def multiplies_int8() -> bool:
    """Whether the CPU adds up products of int8 without overflow."""
    import torch

    return any(torch.cpu.get_capabilities().get(unit) for unit in INT8_UNITS)


def instruction_set(device: "torch.device") -> str:
    """What decides the last bits of a product on `device`: `AVX2`, `AVX512 avx512_bf16`; of a GPU, `sm_90`."""
    import torch

    if device.type == "cuda":
        return "sm_{}{}".format(*torch.cuda.get_device_capability(device))
    capabilities = torch.cpu.get_capabilities()
    units = [unit for unit in BF16_UNITS if capabilities.get(unit)]
    return " ".join([torch.backends.cpu.get_cpu_capability(), *units])


def autocast(device: "torch.device", precision: str) -> contextlib.AbstractContextManager:
    """The context in which a model runs in `precision` (`fp32` or `bf16`) on `device`."""
    import torch

    return torch.autocast(device.type, dtype=torch.bfloat16, enabled=precision == "bf16")
