"""Traces of models that are not ours: what exits say, the labels, and what each layer costs, from an npz file."""

import re
from pathlib import Path
from zipfile import is_zipfile

import numpy as np
from scipy.special import logsumexp, softmax

from fastbert_core.errors import InputError, refused
from fastbert_core.files import sha256
from fastbert_core.packing import LARGEST_LOGSUMEXP
from fastbert_core.task_types import SINGLE
from fastbert_core.tasks import SAFE_NAME
from fastbert_core.trace import Trace

TRAINING = "foreign"


def load_foreign(path: Path, split: str = "test") -> Trace:
    """The trace of an npz of `probabilities` or `logits`, `labels` and `cost`, for every rule and metric.

    probabilities, logits: float [samples, layers, classes]; labels: int [samples], from 0
    cost: [layers], of executing each layer with its exit, in any unit; speedups are over their sum
    classes: optional, names [classes]

    The task is called by the file's name, in the letters that a task's may have, or where none is left by the file's
    hash. Raises InputError, naming the file, for what is missing or does not fit.
    """

    def require(holds: bool, found: str, expected: str) -> None:
        if not holds:
            raise InputError(f"{path}: found {found}, expected {expected}")

    arrays = _arrays(path)
    given = [name for name in ("probabilities", "logits") if name in arrays]
    require(len(given) == 1, " and ".join(given) or "neither of them", "probabilities or logits")
    for name in ("labels", "cost"):
        require(name in arrays, f"no {name}", "probabilities or logits, labels, and the cost of each layer")
    said, labels, cost = arrays[given[0]], arrays["labels"], arrays["cost"]
    require(said.ndim == 3 and said.dtype.kind == "f", f"{given[0]} {_kind(said)}", "float [samples, layers, classes]")
    samples, layers, classes = said.shape
    require(min(said.shape) > 0 and layers > 1 and classes > 1, f"shape {said.shape}", "two layers and classes or more")
    require(bool(np.isfinite(said).all()), f"{given[0]} that are not finite", "finite ones")
    fits = labels.shape == (samples,) and labels.dtype.kind in "iu"
    require(fits, f"labels {_kind(labels)}", f"integers [{samples}], one for each sample")
    fits = cost.shape == (layers,) and cost.dtype.kind in "iuf" and bool((np.isfinite(cost) & (cost > 0)).all())
    require(fits, f"cost {_kind(cost)}", f"positive numbers [{layers}], one for each layer")
    names = arrays.get("classes", np.arange(classes))
    require(names.shape == (classes,), f"classes {_kind(names)}", f"names [{classes}], as many as {given[0]} have")
    scale = None
    with np.errstate(over="ignore"):  # what is too large is refused
        if given[0] == "logits":
            z = said.astype(np.float64)
            scale = logsumexp(z, axis=-1)
            largest = np.abs(scale).max()
            expected = f"{LARGEST_LOGSUMEXP:g} at most, of which e^z is a float64; give probabilities in their place"
            require(largest <= LARGEST_LOGSUMEXP, f"logits with a logsumexp of {largest:.3g} in size", expected)
            said, scale = softmax(z, axis=-1), scale.astype(np.float32)
        p = said.astype(np.float32)
    SINGLE.check(p, labels, require)
    run_id, name = sha256(path)[:16], SAFE_NAME.search(re.sub("[^a-z0-9_]", "-", path.stem.lower()))
    metadata = {
        "task": name[0] if name else run_id,
        "training": TRAINING,
        "seed": 0,
        "split": split,
        "classes": list(map(str, names)),
        "layers": list(range(1, layers + 1)),
        "cost": cost.astype(np.float64).tolist(),
        "run_id": run_id,
    }
    return Trace(p, labels.astype(np.int64), np.ones(samples, np.int32), metadata, scale)


def calibrating(test: Trace, path: Path) -> Trace:
    """The trace of the same model's calibration rows. Raises InputError for other layers, classes or costs."""
    found = load_foreign(path, "dev")
    for name in ("layers", "classes", "cost"):
        if found.metadata[name] != test.metadata[name]:
            raise InputError(f"{path}: found other {name} than the test rows have, expected the same model's")
    found.metadata["task"] = test.metadata["task"]
    return found


def _arrays(path: Path) -> dict[str, np.ndarray]:
    expected = "expected an npz file of arrays, as numpy.savez writes it"
    if not is_zipfile(path):
        raise InputError(f"{path}: found {'another kind of file' if path.is_file() else 'no such file'}, {expected}")
    with refused(f"{path}: found ", f", {expected}"), np.load(path, allow_pickle=False) as file:
        return {name: np.asarray(file[name]) for name in file.files}  # what is no .npy comes as bytes


def _kind(array: np.ndarray) -> str:
    return f"of type {array.dtype} and shape {list(array.shape)}"
