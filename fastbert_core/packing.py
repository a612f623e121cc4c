"""What a trace says, as its file keeps it: whole steps, whose bytes stand apart, in under half of float32's room.

The last bits of a float32 are noise that nothing packs. Each layer's answer to a text takes the coarsest steps of which
it does not change, no probability or uncertainty moves by more than the trace is kept to, and none near 0 by much of
itself.
"""

from collections.abc import Mapping

import numpy as np
from scipy.special import entr, expit

from fastbert_core.task_types import TaskType

BITS = range(9, 25)  # a step of a probability is 2 to the power of minus so many; beyond, float32 has no more
SCALE_BITS = range(4, 12)  # the same of a logsumexp; its energy moves by an eighth of a step at most
SHARE = 1 / 256  # of itself, that an uncertainty near 0 may move by: there the thresholds of sure models lie
LEAST = 1e-6  # which it always may
ENERGY_KEPT_TO = 1e-4
LARGEST_LOGSUMEXP = 700.0  # in size: beyond, e^z is no float64
PACKED = ("steps", "bits", "largest", "scale", "scale_bits")


def packed(p: np.ndarray, kind: TaskType, limit: float) -> dict[str, np.ndarray] | None:
    """The members of a trace's file that hold `p` in whole steps, each row's the coarsest that change no answer.

    Of a type whose classes exclude each other, a row's largest is what the others leave. What a file kept is kept as
    it is. None where some row has no such steps.

    Args:
        p: float32 [units, layers, classes], in [0, 1]
        kind: what is answered, and how unsure a row is
        limit: how far a probability, and a row's uncertainty, may move; the latter by a SHARE of itself at most, or
            by LEAST

    Returns: `bits` uint8 [units, layers], a row's step being 2 to the power of minus so many; `steps` uint8
        [4, units, classes, layers], lowest byte first; and where rows sum to one `largest` uint16 [units, layers], the
        class that was left out
    """
    rows, exact = p.reshape(-1, 1, p.shape[-1]), whole_bits(p)
    largest = rows.argmax(axis=-1)[..., None] if kind.sums_to_one else None
    before, answers = _unsure(kind, rows), kind.answer(rows)
    steps, bits, left = np.zeros(rows.shape), np.zeros(rows.shape[:2], np.uint8), np.arange(len(rows))
    fine = [b for b in BITS if 2.0**-b / 2 <= limit]
    for tried in fine if exact is None else [exact]:
        row, of_row = rows[left], None if largest is None else largest[left]
        found = _rounded(row * 2.0**tried, tried, of_row)
        kept = _probabilities(found, np.full(len(row), tried)[:, None], of_row)
        moved, unsure = np.abs(kept - row).max(axis=(1, 2)), before[left]
        close = np.abs(_unsure(kind, kept) - unsure) <= np.clip(unsure * SHARE, LEAST, limit)
        same = kind.answer(kept) == answers[left]
        near = (moved <= limit) & close & same.all(axis=tuple(range(1, same.ndim)))
        steps[left[near]], bits[left[near]] = found[near], tried
        left = left[~near]
        if not len(left):
            break
    else:
        return None
    while (half := (steps % 2 == 0).all(axis=-1) & (bits > fine[0])).any():
        steps[half] /= 2
        bits[half] -= 1
    members = {"bits": bits.reshape(p.shape[:-1]), "steps": _apart(steps.reshape(p.shape).swapaxes(1, 2))}
    return members if largest is None else members | {"largest": largest.reshape(p.shape[:-1]).astype(np.uint16)}


def _unsure(kind: TaskType, rows: np.ndarray) -> np.ndarray:
    """How unsure each row [rows, 1, classes] is by itself, float64 [rows]."""
    return kind.score(kind.rule(), rows, np.ones(len(rows), np.int32) if kind.of_words else None)[:, 0]


def _probabilities(steps: np.ndarray, bits: np.ndarray, largest: np.ndarray | None) -> np.ndarray:
    """float32 [..., classes] of `steps` likewise and `bits` [...]; `largest` [..., 1] has what the others leave."""
    whole = 2.0 ** bits[..., None].astype(np.float64)
    if largest is not None:
        steps = steps.copy()
        np.put_along_axis(steps, largest, 0, axis=-1)
        np.put_along_axis(steps, largest, whole - steps.sum(axis=-1, keepdims=True), axis=-1)
    return (steps / whole).astype(np.float32)


def _rounded(whole: np.ndarray, bits: int, largest: np.ndarray | None = None) -> np.ndarray:
    """The steps below or above `whole`, float64 [units, layers, classes], where `largest` is left out, and 0.

    A row's classes, from the least probable on, take the one that leaves its entropy, and what is left to its largest,
    nearest to what they were. Rounded each by itself, they would need two to four bits more.
    """
    whole, classes, step = whole.astype(np.float64), whole.shape[-1], 2.0**-bits

    def entropy(steps: np.ndarray) -> np.ndarray:
        """What a class adds to its row's, normalised; its part in what its steps take from the largest included."""
        p = steps * step
        if largest is None:
            return (entr(p) + entr(1 - p)) / (classes * np.log(2))
        return (entr(p) + slope * p) / np.log(classes)

    last, count = 0.0, classes
    if largest is not None:
        slope = 1 + np.log(np.take_along_axis(whole, largest, -1)[..., 0] * step)
        last, count = step, classes - 1
        np.put_along_axis(whole, largest, np.inf, -1)
    steps, error = np.zeros_like(whole), np.zeros((2, *whole.shape[:-1]))
    for at in np.moveaxis(np.argsort(whole, axis=-1), -1, 0)[:count]:
        value = np.take_along_axis(whole, at[..., None], -1)[..., 0]
        near = np.stack([np.floor(value), np.ceil(value)])
        errors = error[:, None] + np.stack([entropy(near) - entropy(value), last * (near - value)])
        above = np.diff((errors**2).sum(axis=0), axis=0)[0] < 0
        error = np.where(above, errors[:, 1], errors[:, 0])
        np.put_along_axis(steps, at[..., None], np.where(above, near[1], near[0])[..., None], -1)
    if largest is not None:
        # Of two classes as probable to a step the one that is left out must stay the first: others are cut there.
        overtaken = 2**bits - steps.sum(axis=-1) <= steps.max(axis=-1)
        np.put_along_axis(whole, largest, 0, -1)
        steps[overtaken] = np.floor(whole[overtaken])
    return steps


def packed_scale(z: np.ndarray) -> dict[str, np.ndarray]:
    """The members for a logsumexp `z`, in the coarsest steps that keep its energies, 1 / (1 + e^z), to ENERGY_KEPT_TO.

    What a file kept is kept as it is.

    Returns: `scale_bits` uint8 [1], a step being 2 to the power of minus so many; and `scale` uint8
        [4, samples, layers], steps from -LARGEST_LOGSUMEXP, lowest byte first
    """
    z = z.astype(np.float64)
    exact = whole_bits(z, SCALE_BITS)
    for bits in SCALE_BITS if exact is None else [exact]:
        steps = np.rint((z + LARGEST_LOGSUMEXP) * 2.0**bits)
        if np.abs(expit(LARGEST_LOGSUMEXP - steps * 2.0**-bits) - expit(-z)).max() <= ENERGY_KEPT_TO:
            break
    return {"scale": _apart(steps), "scale_bits": np.array([bits], np.uint8)}


def whole_bits(values: np.ndarray, tried: range = BITS) -> int | None:
    """The fewest bits of which all `values` are whole steps, as what a file kept is; None where there are none."""
    return next((bits for bits in tried if not (values * 2.0**bits % 1).any()), None)


def unpacked(members: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields `probabilities` and, if it is kept, `logsumexp` of the trace whose file has `members`.

    Raises ValueError, IndexError or KeyError for members of another form.
    """
    fields = {name: members[name] for name in ("probabilities", "logsumexp") if name in members}
    if "steps" in members:
        steps, bits = _together(members["steps"]).swapaxes(-1, -2), members["bits"]
        if bits.shape != steps.shape[:-1]:
            raise ValueError(f"bits of shape {bits.shape}")
        if bits.min() < min(BITS) or bits.max() > max(BITS):
            raise ValueError(f"steps of {bits.min()} to {bits.max()} bits")
        largest = members["largest"].astype(np.int64, casting="safe")[..., None] if "largest" in members else None
        fields["probabilities"] = _probabilities(steps, bits, largest)
    if "scale" in members:
        steps = _together(members["scale"]) * 2.0 ** -members["scale_bits"].item()
        fields["logsumexp"] = (steps - LARGEST_LOGSUMEXP).astype(np.float32)
    return fields


def _apart(steps: np.ndarray) -> np.ndarray:
    """Whole numbers byte by byte, uint8 [4, *shape]: equal high bytes stand side by side, and pack."""
    return np.moveaxis(steps.astype("<u4")[..., None].view(np.uint8), -1, 0)


def _together(apart: np.ndarray) -> np.ndarray:
    """The whole numbers, int64, that `_apart` took to bytes."""
    if apart.dtype != np.uint8 or apart.shape[:1] != (4,):
        raise ValueError(f"steps of type {apart.dtype} and shape {apart.shape}")
    return sum(byte.astype(np.int64) << 8 * place for place, byte in enumerate(apart))
