"""What a frozen backbone says, and the teacher where it is frozen too: once is enough where there is room for it."""

import math
import os
import shutil
import tempfile
import weakref
from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from tqdm import tqdm

from fastbert_core.encoding import Batch, Encoded, collate, sorted_batches
from fastbert_core.errors import RunError
from fastbert_core.files import naming
from fastbert_core.model import FastBertModel
from fastbert_core.precision import autocast
from fastbert_core.tracing import evaluating

MAX_BYTES = 32 * 2**30
FOR_BATCHES = 4 * 2**30  # of a GPU's memory
STORED = {"fp32": torch.float32, "bf16": torch.bfloat16}  # what classifiers multiply

# Of the rows of a batch, and the batch: what the classifiers asked for read, [layers, b, n, hidden]; teacher's logits.
Frozen = Callable[[np.ndarray, Batch], tuple[Tensor, Tensor]]


def frozen_states(
    model: FastBertModel,
    encoded: Encoded,
    pad_id: int,
    precision: str,
    folder: Path,
    log: Callable[[str], None],
    layers: Sequence[int],
    kept: bool | None = None,
) -> Frozen:
    """Where the inputs of classifiers on `layers` and the teacher's soft labels come from, without dropout, gradients.

    `layers` count from 1.

    A pass through the backbone is most of an epoch, so it is made once, if there is room for what it says and that
    takes no more than MAX_BYTES: on a CPU in `folder`, on a GPU in its memory. Else, of which `log` is told, every
    batch is computed when it is asked for: slower, but the run goes on where a full disk would end it.

    The two agree within rounding, not to the last bit, since kept states were computed in batches of other samples. So
    a stage that is resumed goes on as it began: `kept` says how, None if it begins. Raises RunError if states that
    were kept have no room now.
    """
    if kept is not False:
        folder.mkdir(parents=True, exist_ok=True)
        on_cpu = model.device.type == "cpu"
        needed = STORED[precision].itemsize * len(encoded.ids) * len(layers) * model.backbone.config.hidden_size
        room = min(MAX_BYTES, _room_on_disk(model, folder) if on_cpu else _room_on_gpu(model.device))
        if needed <= room:
            if on_cpu:
                return KeptStates(model, encoded, pad_id, precision, folder, layers)
            return StatesOnDevice(model, encoded, pad_id, precision, layers)
        where = folder if on_cpu else model.device
        if kept:
            raise RunError(f"{where}: found room for {_gib(room)}, expected {_gib(needed)} as when the stage began")
        log(f"{where}: room for {_gib(room)} of frozen states, not for {_gib(needed)}; every batch computes its own")

    def computed(rows: np.ndarray, batch: Batch) -> tuple[Tensor, Tensor]:
        with evaluating(model), autocast(model.device, precision):
            hidden, teacher = _pass(model, batch, layers)
        return torch.stack(hidden), teacher.clone()

    return computed


class KeptStates:
    """The states of all samples in a nameless file in `folder`, gone with the process however it ends.

    [tokens, layers, hidden], the tokens in the order of `encoded`, in the precision in which the classifiers multiply
    them. A batch is read from it, not mapped: pages of a map would count as the process's own memory, gigabytes after
    an epoch. Raises OSError, naming `folder`, where the disk is full.
    """

    def __init__(
        self, model: FastBertModel, encoded: Encoded, pad_id: int, precision: str, folder: Path, layers: Sequence[int]
    ) -> None:
        self._of_token, self._dtype = (len(layers), model.backbone.config.hidden_size), STORED[precision]
        self._token_bytes = self._dtype.itemsize * math.prod(self._of_token)
        self._encoded = encoded
        self._teacher = np.empty((encoded.unit_count, model.config.num_labels), np.float32)
        bar = tqdm(total=len(encoded), desc="frozen states", unit="sample", disable=None)
        with (
            naming(folder),  # outermost: closing the file writes too
            tempfile.TemporaryFile(dir=folder) as file,
            evaluating(model),
            autocast(model.device, precision),
            bar,
        ):
            for rows in sorted_batches(encoded.lengths):
                hidden, teacher = _pass(model, collate(encoded, rows, pad_id), layers)
                self._teacher[encoded.units(rows)] = teacher.float().numpy()
                states = torch.stack(hidden, dim=2).to(self._dtype)  # [b, n, layers, hidden]
                for row, state in zip(rows, _bytes(states), strict=True):
                    file.seek(int(encoded.offsets[row]) * self._token_bytes)
                    file.write(state[: encoded.lengths[row]])
                bar.update(len(rows))
            file.flush()
            self._file = os.dup(file.fileno())  # outlives the file object
        weakref.finalize(self, os.close, self._file)

    def __call__(self, rows: np.ndarray, batch: Batch) -> tuple[Tensor, Tensor]:
        states = torch.zeros(*batch.input_ids.shape, *self._of_token, dtype=self._dtype)  # [b, n, layers, hidden]
        for row, content in zip(rows, _bytes(states), strict=True):
            start, length = int(self._encoded.offsets[row]), int(self._encoded.lengths[row])
            read = os.pread(self._file, length * self._token_bytes, start * self._token_bytes)
            content[:length] = np.frombuffer(read, np.uint8).reshape(content[:length].shape)  # of as many, or an error
        return states.permute(2, 0, 1, 3), torch.from_numpy(self._teacher[self._encoded.units(rows)])


def _bytes(states: Tensor) -> np.ndarray:
    """The memory of a contiguous tensor as uint8, the last of its axes widened: NumPy knows no bfloat16."""
    return states.view(torch.uint8).numpy()


class StatesOnDevice:
    """The states of all samples in the memory of the model's device, [tokens, layers, hidden], in the order of tokens.

    In the precision in which the classifiers multiply them.
    """

    def __init__(
        self, model: FastBertModel, encoded: Encoded, pad_id: int, precision: str, layers: Sequence[int]
    ) -> None:
        self._encoded, self._device = encoded, model.device
        of_token = len(layers), model.backbone.config.hidden_size
        self._states = torch.empty(len(encoded.ids), *of_token, dtype=STORED[precision], device=model.device)
        self._teacher = torch.empty(encoded.unit_count, model.config.num_labels, device=model.device)
        bar = tqdm(total=len(encoded), desc="frozen states", unit="sample", disable=None)
        with evaluating(model), autocast(model.device, precision), bar:
            for rows in sorted_batches(encoded.lengths):
                hidden, teacher = _pass(model, collate(encoded, rows, pad_id, model.device), layers)
                self._teacher[torch.from_numpy(encoded.units(rows)).to(model.device)] = teacher.float()
                tokens, mask = self._tokens(rows)
                states = torch.stack(hidden, dim=2).to(self._states.dtype)  # [b, n, layers, hidden]
                self._states[tokens[mask]] = states[mask]
                bar.update(len(rows))

    def __call__(self, rows: np.ndarray, batch: Batch) -> tuple[Tensor, Tensor]:
        tokens, _ = self._tokens(rows)  # what is padded reads [CLS], to which nobody attends
        units = torch.from_numpy(self._encoded.units(rows)).to(self._device)
        return self._states[tokens].permute(2, 0, 1, 3), self._teacher[units]

    def _tokens(self, rows: np.ndarray) -> tuple[Tensor, Tensor]:
        """Where the tokens of the rows stand, int64 [b, n], and which of them are real, bool [b, n]."""
        starts, lengths = self._encoded.offsets[rows][:, None], self._encoded.lengths[rows][:, None]
        places = np.arange(lengths.max())
        mask = places < lengths
        tokens = np.where(mask, starts + places, starts)
        return torch.from_numpy(tokens).to(self._device), torch.from_numpy(mask).to(self._device)


def _pass(model: FastBertModel, batch: Batch, layers: Sequence[int]) -> tuple[list[Tensor], Tensor]:
    states = []
    for layer, hidden in enumerate(model.hidden_states(batch.input_ids, batch.mask, batch.token_type_ids)):
        if layer in layers:
            states.append(model.read(hidden, batch.mask))
    return states, batch.of_units(model.classify(model.layers, hidden, batch.mask))


def _room_on_disk(model: FastBertModel, folder: Path) -> int:
    """Bytes that kept states may take: what is free, less two models' size for the stage's checkpoint and result."""
    weights = sum(tensor.nbytes for tensor in model.state_dict().values())
    return max(0, shutil.disk_usage(folder).free - 2 * weights)


def _room_on_gpu(device: torch.device) -> int:
    """Bytes that kept states may take: what is free, less what the batches of a stage want."""
    return max(0, torch.cuda.mem_get_info(device)[0] - FOR_BATCHES)


def _gib(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
