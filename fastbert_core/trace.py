"""Traces: what every classifier said of every sample, stored once and measured for ever after."""

import json
import os
import zipfile
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

import numpy as np

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write
from fastbert_core.uncertainty import uncertainty

# float32 softmax rows sum to 1 within a few units in the last place for each class.
SUM_TOLERANCE = 1e-4
METADATA = ("run_id", "task", "model", "variant", "seed", "split", "classes", "layers", "encoder", "precision")


@dataclass(frozen=True)
class Trace:
    """The class probabilities of every stored layer for every sample of a split, in the file's order.

    probabilities: float32 [samples, layers, classes], each row sums to 1
    labels: int64 [samples]
    tokens: int32 [samples], after truncation, special tokens included
    metadata: JSON-like; holds at least the keys of METADATA. `layers` lists the layer numbers
        (from 1) of the second axis, `classes` the class names of the third, `encoder` the
        dimensions that FLOPs are counted from (see fastbert_core.flops.EncoderShape).
    """

    probabilities: np.ndarray
    labels: np.ndarray
    tokens: np.ndarray
    metadata: dict

    @cached_property
    def uncertainties(self) -> np.ndarray:
        """Uncertainty of every layer for every sample, float64 [samples, layers]."""
        return uncertainty(self.probabilities)

    @cached_property
    def predictions(self) -> np.ndarray:
        """Most probable class of every layer for every sample, int64 [samples, layers]."""
        return self.probabilities.argmax(axis=-1)

    @cached_property
    def correct(self) -> np.ndarray:
        """Whether each layer's prediction is the label, bool [samples, layers]."""
        return self.predictions == self.labels[:, None]


def save_trace(trace: Trace, path: Path) -> None:
    """Check `trace` and write it to `path` atomically, with bytes that depend on its content alone."""
    check_trace(trace, str(path))
    arrays = {"probabilities": trace.probabilities, "labels": trace.labels, "tokens": trace.tokens}
    text = json.dumps(trace.metadata, sort_keys=True, ensure_ascii=False)
    arrays["metadata"] = np.frombuffer(text.encode(), np.uint8)
    with atomic_write(path) as file, zipfile.ZipFile(file, "w", zipfile.ZIP_DEFLATED, compresslevel=9) as archive:
        for name, array in arrays.items():
            # np.savez stamps the time of day on every member; a fixed date keeps equal traces equal.
            member = zipfile.ZipInfo(f"{name}.npy", date_time=(1980, 1, 1, 0, 0, 0))
            member.compress_type = zipfile.ZIP_DEFLATED
            with archive.open(member, "w") as stream:
                np.lib.format.write_array(stream, np.ascontiguousarray(array), allow_pickle=False)


def load_trace(path: Path) -> Trace:
    """Read and check a trace. Raises InputError, naming the file, if it is missing, damaged or not a trace."""
    if not os.path.isfile(path):
        raise InputError(f"{path}: no such trace")
    try:
        with np.load(path, allow_pickle=False) as stored:
            arrays = {name: stored[name] for name in ("probabilities", "labels", "tokens", "metadata")}
        metadata = json.loads(arrays.pop("metadata").tobytes().decode())
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile, zipfile.zlib.error) as error:
        raise InputError(f"{path}: not a readable trace ({error}), expected an npz written by this suite") from error
    trace = Trace(metadata=metadata, **arrays)
    check_trace(trace, str(path))
    return trace


def check_trace(trace: Trace, name: str) -> None:
    """Raise InputError, beginning with `name`, unless the trace keeps every promise of the Trace class."""

    def require(holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise InputError(f"{name}: found {found}, expected {expected}")

    p, labels, tokens = trace.probabilities, trace.labels, trace.tokens
    require(p.dtype == np.float32, f"probabilities of type {p.dtype}", "float32")
    require(labels.dtype == np.int64, f"labels of type {labels.dtype}", "int64")
    require(tokens.dtype == np.int32, f"tokens of type {tokens.dtype}", "int32")
    require(p.ndim == 3, f"probabilities of shape {p.shape}", "[samples, layers, classes]")
    samples, layers, classes = p.shape
    require(samples > 0, "no samples", "at least one")
    require(layers > 0, "no layers", "at least one")
    require(classes > 1, f"{classes} classes", "at least two")
    found = f"labels of shape {labels.shape} and tokens of shape {tokens.shape}"
    require(labels.shape == tokens.shape == (samples,), found, f"({samples},), one for each sample")
    require(bool(np.isfinite(p).all()), "probabilities that are not finite", "finite ones")
    require(bool((p >= 0).all()), "negative probabilities", "values in [0, 1]")
    worst = float(np.abs(p.sum(axis=-1, dtype=np.float64) - 1).max())
    require(worst <= SUM_TOLERANCE, f"a row {worst:.2g} away from summing to 1", f"at most {SUM_TOLERANCE:g}")
    lowest, highest = labels.min(), labels.max()
    require(lowest >= 0 and highest < classes, f"labels from {lowest} to {highest}", f"0 to {classes - 1}")
    require(tokens.min() > 0, f"a sample of {tokens.min()} tokens", "at least one")
    require(isinstance(trace.metadata, dict), "metadata that is no table", "a JSON object")
    missing = [key for key in METADATA if key not in trace.metadata]
    require(not missing, f"metadata without {', '.join(missing)}", f"all of {', '.join(METADATA)}")
    for key, size in (("layers", layers), ("classes", classes)):
        named = trace.metadata[key]
        require(isinstance(named, list) and len(named) == size, f"{key} named {named!r}", f"a list of {size}")
