"""Traces: what every exit says of every sample of a split, which all measurements are made of."""

import dataclasses
import io
import json
import os
import zipfile
from functools import cached_property
from pathlib import Path

import numpy as np

from fastbert_core.errors import InputError, reason, refused
from fastbert_core.files import write_whole
from fastbert_core.flops import EncoderShape
from fastbert_core.packing import LARGEST_LOGSUMEXP, PACKED, packed, packed_scale, unpacked
from fastbert_core.task_types import SINGLE, TASK_TYPES, Require, TaskType

MEMBERS = ("labels", "tokens", "metadata")
EPOCH_KEPT_TO = 1e-3  # probabilities and uncertainties of an epoch, whose few hundred rows tell a point or two
OPTIONAL = ("probabilities", "logsumexp", "words", *PACKED)  # members that a trace may have
METADATA = {"split": str, "classes": list, "layers": list, "encoder": dict, "precision": str}


@dataclasses.dataclass(frozen=True)
class Trace:
    """What every stored layer says of every sample of a split, in the file's order: class probabilities, mostly.

    probabilities: float32 [units, layers, classes], as the task type has them; a unit is a sample, or a word of one
        where each word has a label. Of single labels each row sums to 1. A file keeps them so that no
        prediction changes, and no probability or uncertainty moves by more than `kept_to`.
    labels: int64 [units], of many labels [units, classes]; of a regression float64
    tokens: int32 [samples], after truncation, special tokens included
    words: int32 [samples], how many words each sample has; None where samples are not divided into words
    logsumexp: float32 [samples, layers] of the logits, whose scale probabilities have lost; None where it is not kept
    metadata: JSON-like; holds at least the keys of METADATA, in their types, and `task_type` and `metrics` where these
        are not those of single labels. `layers` lists the layer numbers
        (from 1) of the second axis, `classes` the class names of the third, `encoder` the
        dimensions that FLOPs are counted from (see fastbert_core.flops.EncoderShape).
    """

    probabilities: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray
    metadata: dict
    logsumexp: np.ndarray | None = None
    words: np.ndarray | None = None

    def __len__(self) -> int:
        """How many samples there are."""
        return len(self.tokens)

    @cached_property
    def kind(self) -> TaskType:
        """The type of its task."""
        return TASK_TYPES[self.metadata.get("task_type", SINGLE.name)]

    @property
    def has_exits(self) -> bool:
        """Whether there are classifiers to leave at before the last."""
        return len(self.metadata["layers"]) > 1

    @cached_property
    def shape(self) -> EncoderShape:
        """The sizes that costs are counted from."""
        return EncoderShape(**self.metadata["encoder"])

    @property
    def kept_to(self) -> float:
        """How far a file of it may move a probability or an uncertainty."""
        return self.kind.kept_to if self.metadata.get("epoch") is None else EPOCH_KEPT_TO

    @cached_property
    def uncertainties(self) -> np.ndarray:
        """Uncertainty of every layer for every sample, by the type's own rule, float64 [samples, layers]."""
        return self.kind.score(self.kind.rule(), self.probabilities, self.words)

    @cached_property
    def predictions(self) -> np.ndarray:
        """What every layer answers, int64 [samples, layers] of single labels, the most probable class."""
        return self.kind.answer(self.probabilities)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each layer's prediction is the label, bool, or how right it is, in [0, 1]: [samples, layers]."""
        return self.quality(self.predictions)

    def quality(self, answers: np.ndarray) -> np.ndarray:
        """How right `answers` [units, layers, …] are, bool or float in [0, 1]: [samples, layers]."""
        return self.kind.quality(answers, self.labels, self.words, self.metadata.get("classes", ()))


def save_trace(trace: Trace, path: Path) -> None:
    """Check `trace` and write its `trace_bytes` to `path` atomically."""
    write_whole(path, trace_bytes(trace, path))


def trace_bytes(trace: Trace, path: Path) -> bytes:
    """Check `trace` and make the file of it, whose bytes depend on its content alone; `path` is named in messages."""
    check_trace(trace, str(path))
    arrays = _said(trace, trace.kept_to) | {"labels": trace.labels, "tokens": trace.tokens}
    if trace.logsumexp is not None:
        arrays |= packed_scale(trace.logsumexp)
    if trace.words is not None:
        arrays["words"] = trace.words
    text = json.dumps(trace.metadata, sort_keys=True, ensure_ascii=False)
    arrays["metadata"] = np.frombuffer(text.encode(), np.uint8)
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w") as archive:
        for name, array in arrays.items():
            # np.savez stamps the time of day on every member; a fixed date keeps equal traces equal.
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_LZMA  # a tenth smaller than deflated
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)
    return buffer.getvalue()


def coarser(trace: Trace, limit: float) -> Trace:
    """`trace` as a file would hold it that may move a probability or an uncertainty by `limit`."""
    return dataclasses.replace(trace, **unpacked(_said(trace, limit)))


def _said(trace: Trace, limit: float) -> dict[str, np.ndarray]:
    """The members for what it says: in steps, or float32 as it is where no steps move it by `limit` at most."""
    p = trace.probabilities
    if p.min() < 0 or p.max() > 1:  # a regression's
        return {"probabilities": p}
    return packed(p, trace.kind, limit) or {"probabilities": p}


def load_trace(path: Path) -> Trace:
    """Read and check a trace. Raises InputError, naming the file, if it is missing, damaged or not a trace."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such trace")
    return parse_trace(Path(path).read_bytes(), path)


def parse_trace(content: bytes, path: Path) -> Trace:
    """The trace that `content`, the bytes of `path`, is. Raises InputError, naming it, if it is none."""
    with refused(f"{path}: not a readable trace (", "), expected an npz written by this suite"):
        with zipfile.ZipFile(io.BytesIO(content)) as archive:  # reads a member to its end, and so checks its CRC
            kept = [name for name in OPTIONAL if f"{name}.npy" in archive.namelist()]
            members = {name: io.BytesIO(archive.read(f"{name}.npy")) for name in (*MEMBERS, *kept)}
        arrays = {name: np.lib.format.read_array(file, allow_pickle=False) for name, file in members.items()}
        metadata = json.loads(arrays["metadata"].tobytes().decode())
        fields = {name: arrays[name] for name in ("labels", "tokens", "words") if name in arrays} | unpacked(arrays)
        trace = Trace(metadata=metadata, **fields)
    check_trace(trace, str(path))
    return trace


def check_trace(trace: Trace, name: str) -> None:
    """Raise InputError, beginning with `name`, unless the trace keeps every promise of the Trace class."""

    def require(holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise InputError(f"{name}: found {found}, expected {expected}")

    p, labels, tokens = trace.probabilities, trace.labels, trace.tokens
    require(p.dtype == np.float32, f"probabilities of type {p.dtype}", "float32")
    require(tokens.dtype == np.int32, f"tokens of type {tokens.dtype}", "int32")
    require(p.ndim == 3, f"probabilities of shape {p.shape}", "[samples, layers, classes]")
    samples, layers, _ = p.shape
    require(samples > 0, "no samples", "at least one")
    require(layers > 0, "no layers", "at least one")
    require(isinstance(trace.metadata, dict), "metadata that is no table", "a JSON object")
    type_name = trace.metadata.get("task_type", SINGLE.name)
    known = isinstance(type_name, str) and type_name in TASK_TYPES
    require(known, f"task_type {type_name!r}", f"one of {', '.join(TASK_TYPES)}")
    kind = trace.kind
    require(labels.dtype == kind.label_dtype, f"labels of type {labels.dtype}", np.dtype(kind.label_dtype).name)
    require((trace.words is not None) == kind.of_words, "words", f"them in a trace of words alone, not of {kind.name}")
    if kind.of_words:
        samples = _check_words(trace, require)
    found = f"labels of shape {labels.shape} and tokens of shape {tokens.shape}"
    shaped = labels.shape == kind.label_shape(p) and tokens.shape == (samples,)
    require(shaped, found, f"({samples},), one for each sample")
    require(bool(np.isfinite(p).all()), "probabilities that are not finite", "finite ones")
    kind.check(p, labels, require)
    if (z := trace.logsumexp) is not None:
        found = f"logsumexp of type {z.dtype} and shape {z.shape}"
        require(z.dtype == np.float32 and z.shape == (samples, layers), found, f"float32 of {samples, layers}")
        require(bool((np.abs(z) <= LARGEST_LOGSUMEXP).all()), "a logsumexp beyond it", f"{LARGEST_LOGSUMEXP:g} at most")
    require(tokens.min() > 0, f"a sample of {tokens.min()} tokens", "at least one")
    _check_metadata(trace, require)


def _check_words(trace: Trace, require: Require) -> int:
    """How many samples the words are of."""
    words, units = trace.words, len(trace.probabilities)
    require(words.dtype == np.int32 and words.ndim == 1, f"words of type {words.dtype}", "int32 [samples]")
    require(
        words.min(initial=1) > 0 and words.sum() == units, f"{words.sum()} words", f"{units}, one at least a sample"
    )
    return len(words)


def _check_metadata(trace: Trace, require: Require) -> None:
    metadata, (_, layers, classes) = trace.metadata, trace.probabilities.shape
    missing = [key for key in METADATA if key not in metadata]
    require(not missing, f"metadata without {', '.join(missing)}", f"all of {', '.join(METADATA)}")
    for key, kind in METADATA.items():
        require(type(metadata[key]) is kind, f"{key} {metadata[key]!r} in the metadata", f"a {kind.__name__}")
    for key, size, kind in (("layers", layers, int), ("classes", classes, str)):
        named = metadata[key]
        whole = len(named) == size and all(type(name) is kind for name in named)
        require(whole, f"{key} named {named!r}", f"a list of {size}, each of type {kind.__name__}")
    numbers = metadata["layers"]
    ascending = numbers[0] >= 1 and numbers == sorted(set(numbers))
    require(ascending, f"layers named {numbers!r}", "numbers from 1, ascending")
    try:
        shape = EncoderShape(**metadata["encoder"])
    except (TypeError, InputError) as error:
        require(False, f"encoder {metadata['encoder']!r} in the metadata", f"an EncoderShape ({reason(error)})")
    require(numbers[-1] <= shape.layers, f"layer {numbers[-1]}", f"at most the encoder's {shape.layers}")
    longest = trace.tokens.max()
    require(longest <= shape.max_tokens, f"a sample of {longest} tokens", f"at most the encoder's {shape.max_tokens}")
