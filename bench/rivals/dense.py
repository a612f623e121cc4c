"""Dense rivals: the same encoder and teacher without exits, as a user would run them, in length-sorted batches."""

import inspect
import os
import shutil
import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.models import Subject
from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel
from fastbert_core.reduced import in_precision

# Ids, mask and segments, int64 [batch, tokens], to class scores [batch, classes].
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
ONNX_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Dense(nn.Module):
    """The encoder as transformers runs it, with the teacher on top."""

    def __init__(self, model: FastBertModel) -> None:
        super().__init__()
        self.encoder, self.teacher, self.family = model.backbone, model.teacher, model.family
        self.reads_segments = "token_type_ids" in inspect.signature(model.backbone.forward).parameters

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Logits [batch, classes] from ids, mask and segments, int64 [batch, tokens]."""
        segments = {"token_type_ids": token_type_ids} if self.reads_segments else {}
        hidden = self.encoder(input_ids, attention_mask=attention_mask, **segments).last_hidden_state
        mask = attention_mask.bool()
        return self.teacher(self.family.read(self.encoder, hidden, mask), mask)


def labels(forward: Forward, encoded: Encoded, pad_id: int, batch: int) -> np.ndarray:
    """Labels int64 [samples], in batches of like length padded to their longest."""
    found = np.empty(len(encoded), np.int64)
    for rows in sorted_batches(encoded.lengths, batch, token_budget=batch * int(encoded.lengths.max())):
        padded = collate(encoded, rows, pad_id)
        ids = padded.input_ids.numpy()
        mask = np.ones_like(ids) if padded.mask is None else padded.mask.numpy().astype(np.int64)
        segments = np.zeros_like(ids) if padded.token_type_ids is None else padded.token_type_ids.numpy()
        found[rows] = forward(ids, mask, segments).argmax(axis=-1)
    return found


def by_transformers(model: FastBertModel, precision: str, compiled: bool = False) -> Forward:
    """transformers' own forward pass; in int8 with the same quantised layers as ours.

    compiled: by torch.compile, once for all shapes, which needs `has_compiler`
    """
    module = Dense(in_precision(model, precision, torch.device("cpu"))).eval()
    if compiled:
        module = torch.compile(module, dynamic=True)

    @torch.inference_mode()
    def forward(*inputs: np.ndarray) -> np.ndarray:
        return module(*map(torch.from_numpy, inputs)).float().numpy()

    return forward


def has_compiler() -> bool:
    """Whether there is a C++ compiler for torch.compile."""
    return shutil.which(os.environ.get("CXX", "g++")) is not None


def by_openvino(subject: Subject, precision: str) -> Forward:
    """OpenVINO's CPU plugin on encoder and teacher, converted from PyTorch, in fp32 or bf16."""
    import openvino  # here, so that the command line and its tests do without the rivals' packages

    converted = openvino.convert_model(
        Dense(subject.model).eval(), example_input=_example(subject), input=[[-1, -1]] * 3
    )
    options = {"INFERENCE_NUM_THREADS": torch.get_num_threads(), "NUM_STREAMS": 1}
    options["INFERENCE_PRECISION_HINT"] = {"fp32": "f32", "bf16": "bf16"}[precision]
    compiled = openvino.Core().compile_model(converted, "CPU", options)

    def forward(*inputs: np.ndarray) -> np.ndarray:
        return compiled(list(inputs[: len(compiled.inputs)]))[0]

    return forward


def by_onnxruntime(subject: Subject, precision: str) -> Forward:
    """ONNX Runtime on the exported encoder and teacher, fp32 or int8 (dynamic quantisation of the weights)."""
    import onnx  # here, so that the command line and its tests do without the rivals' packages
    import onnxruntime
    from onnxruntime.quantization import QuantType, quantize_dynamic

    with tempfile.TemporaryDirectory() as folder:
        path = _exported(subject, Path(folder))
        if precision == "int8":
            exported = onnx.load(path)
            del exported.graph.value_info[:]  # the exporter's shapes of what lies between, which stop the quantiser
            path = path.with_name("int8.onnx")
            quantize_dynamic(exported, path, weight_type=QuantType.QInt8)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = torch.get_num_threads()
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    taken = {given.name for given in session.get_inputs()}

    def forward(*inputs: np.ndarray) -> np.ndarray:
        named = zip(ONNX_INPUTS, inputs, strict=True)
        return session.run(None, {name: value for name, value in named if name in taken})[0]

    return forward


def _exported(subject: Subject, folder: Path) -> Path:
    size = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=subject.shape.max_tokens)}
    path = folder / "dense.onnx"
    torch.onnx.export(
        Dense(subject.model).eval(),
        _example(subject),
        path,
        input_names=ONNX_INPUTS,
        output_names=["logits"],
        dynamic_shapes=(size, size, size),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path


def _example(subject: Subject) -> tuple[Tensor, Tensor, Tensor]:
    """Ids, mask and segments, int64 [3, tokens], of short texts."""
    first = collate(subject.encoded, np.argsort(subject.encoded.lengths)[:3], subject.tokenizer.pad_token_id)
    mask = torch.ones_like(first.input_ids) if first.mask is None else first.mask.long()
    return first.input_ids, mask, torch.zeros_like(first.input_ids)
