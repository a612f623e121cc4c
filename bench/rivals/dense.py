"""Dense rivals: the same encoder and teacher without exits, as a user would run them, in length-sorted batches."""

import tempfile
from collections.abc import Callable
from pathlib import Path

import numpy as np
import torch
from torch import Tensor, nn

from bench.models import Subject
from fastbert_core.encoding import Encoded, collate, sorted_batches
from fastbert_core.model import FastBertModel

# Ids, mask and segments, int64 [batch, tokens], to class scores [batch, classes].
Forward = Callable[[np.ndarray, np.ndarray, np.ndarray], np.ndarray]
ONNX_INPUTS = ("input_ids", "attention_mask", "token_type_ids")


class Dense(nn.Module):
    """The encoder as transformers runs it, with the teacher on top."""

    def __init__(self, model: FastBertModel) -> None:
        super().__init__()
        self.encoder, self.teacher = model.backbone, model.teacher

    def forward(self, input_ids: Tensor, attention_mask: Tensor, token_type_ids: Tensor) -> Tensor:
        """Logits [batch, classes] from ids, mask and segments, int64 [batch, tokens]."""
        hidden = self.encoder(input_ids, attention_mask=attention_mask, token_type_ids=token_type_ids).last_hidden_state
        return self.teacher(hidden, attention_mask.bool())


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


def by_transformers(model: FastBertModel, precision: str) -> Forward:
    """transformers' own forward pass in fp32 or bf16."""
    module = Dense(model.to(torch.bfloat16 if precision == "bf16" else torch.float32)).eval()

    @torch.inference_mode()
    def forward(*inputs: np.ndarray) -> np.ndarray:
        return module(*map(torch.from_numpy, inputs)).float().numpy()

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
    first = collate(subject.encoded, np.argsort(subject.encoded.lengths)[:3], subject.tokenizer.pad_token_id)
    ids = first.input_ids
    mask = torch.ones_like(ids) if first.mask is None else first.mask.long()
    size = {0: torch.export.Dim("batch"), 1: torch.export.Dim("tokens", max=subject.shape.max_tokens)}
    path = folder / "dense.onnx"
    torch.onnx.export(
        Dense(subject.model).eval(),
        (ids, mask, torch.zeros_like(ids)),
        path,
        input_names=ONNX_INPUTS,
        output_names=["logits"],
        dynamic_shapes=(size, size, size),
        dynamo=True,
        external_data=False,
        verbose=False,
    )
    return path
