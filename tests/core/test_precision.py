import os

import pytest
import torch

from fastbert_core import precision
from fastbert_core.errors import InputError
from fastbert_core.precision import (
    BF16_UNITS,
    INT8_UNITS,
    instruction_set,
    multiplies_bf16,
    multiplies_int8,
    resolve_device,
    resolve_precision,
)

CPU = torch.device("cpu")


@pytest.mark.parametrize(("multiplies", "expected"), [(True, "bf16"), (False, "fp32")])
def test_auto_is_what_the_device_multiplies_in_hardware(monkeypatch, multiplies, expected):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: multiplies)
    assert resolve_precision("auto", CPU) == expected
    assert [resolve_precision(name, CPU) for name in ("fp32", "bf16")] == ["fp32", "bf16"]
    with pytest.raises(InputError, match="precision: found 'fp8', expected one of auto, fp32, bf16"):
        resolve_precision("fp8", CPU)


@pytest.mark.skipif(bool(os.environ.get("FASTBERT_TEST_AUTO")), reason="an answer for the tests stands in its place")
@pytest.mark.parametrize(
    ("unit", "bf16", "int8"),
    [
        ("amx_bf16", True, False),
        ("avx512_bf16", True, False),
        ("amx_int8", False, True),
        ("avx512_vnni", False, True),
        ("avx_vnni", False, True),
        ("avx2", False, False),
    ],
)
def test_what_a_processor_multiplies_in_hardware(monkeypatch, unit, bf16, int8):
    units = dict.fromkeys((*BF16_UNITS, *INT8_UNITS), False) | {unit: True}
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert (multiplies_bf16(CPU), multiplies_int8()) == (bf16, int8)


def test_a_gpu_has_a_number_and_is_there(monkeypatch):
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    found = [str(resolve_device(name)) for name in ("auto", "cpu", "cuda", "cuda:1", torch.device("cuda", 0))]
    assert found == ["cuda", "cpu", "cuda", "cuda:1", "cuda:0"]
    with pytest.raises(InputError, match=r"found 2 CUDA devices, the first of them cuda:0, expected .*cuda:2"):
        resolve_device("cuda:2")
    for name in ("mps", "cuda:", "cuda:-1", "cuda:01", "cuda:999", "cpu:1"):
        with pytest.raises(InputError, match=f"found '{name}', expected auto, cpu, cuda or cuda:N"):
            resolve_device(name)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 0)
    assert str(resolve_device("auto")) == "cpu"
    with pytest.raises(InputError, match="found no CUDA device, expected one for --device cuda:1"):
        resolve_device("cuda:1")


@pytest.mark.parametrize(
    ("capability", "units", "expected"),
    [
        ("AVX2", {"avx2": True, "amx_bf16": False}, "AVX2"),
        ("AVX512", {"avx512_bf16": True, "amx_bf16": False}, "AVX512 avx512_bf16"),
        ("AVX512", {"avx512_bf16": True, "amx_bf16": True}, "AVX512 amx_bf16 avx512_bf16"),
    ],
)
def test_the_instruction_set_of_a_processor(monkeypatch, capability, units, expected):
    monkeypatch.setattr(torch.backends.cpu, "get_cpu_capability", lambda: capability)
    monkeypatch.setattr(torch.cpu, "get_capabilities", lambda: units)
    assert instruction_set(CPU) == expected
