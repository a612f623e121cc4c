"""What a trace says, as its file keeps it: whole steps, whose bytes stand apart, in under half of float32's room.

The last bits of a float32 are noise that nothing packs. A trace takes the coarsest step of which no answer
changes, and no probability, uncertainty or energy moves by more than 1e-5, within which engine and trace agree; 1e-3 in
that of an epoch, of a few hundred rows, whose accuracy is known to a point or two.
"""

from collections.abc import Mapping

import numpy as np

BITS = range(9, 25)  # a step of a probability is 2 to the power of minus so many; beyond, float32 has no more
SCALE_BITS = 14  # the same of a logsumexp z, whose energy, 1 / (1 + e^z), moves by an eighth of a step at most
LARGEST_LOGSUMEXP = 700.0  # in size: beyond, e^z is no float64
PACKED = ("steps", "bits", "largest", "scale", "scale_bits")


def packed(p: np.ndarray, bits: int, sums_to_one: bool) -> dict[str, np.ndarray]:
    """The members of a trace's file that hold `p` in whole steps of 2 to the power of -bits.

    Args:
        p: float32 [units, layers, classes], in [0, 1]
        sums_to_one: whether each row of `p` does, so that its largest is what the others leave

    Returns: `bits`; `steps` uint8 [4, units, layers, classes], lowest byte first; and where rows sum to one `largest`
        uint16 [units, layers], the class that was left out
    """
    members = {"bits": np.array([bits], np.uint8)}
    whole = p * 2.0**bits
    steps = np.rint(whole)
    if sums_to_one:
        largest = p.argmax(axis=-1)[..., None]
        np.put_along_axis(steps, largest, 0, axis=-1)
        # Of two classes as probable to a step the one that is left out must stay the first: others are cut there.
        overtaken = 2**bits - steps.sum(axis=-1) <= steps.max(axis=-1)
        steps[overtaken] = np.floor(whole[overtaken])
        np.put_along_axis(steps, largest, 0, axis=-1)
        members["largest"] = largest[..., 0].astype(np.uint16)
    return members | {"steps": _apart(steps)}


def packed_scale(logsumexp: np.ndarray) -> dict[str, np.ndarray]:
    """The members `scale_bits`, and `scale` uint8 [4, samples, layers], whole steps from -LARGEST_LOGSUMEXP."""
    steps = np.rint((logsumexp.astype(np.float64) + LARGEST_LOGSUMEXP) * 2.0**SCALE_BITS)
    return {"scale": _apart(steps), "scale_bits": np.array([SCALE_BITS], np.uint8)}


def whole_bits(p: np.ndarray) -> int | None:
    """The fewest bits of which all of `p` is whole steps, as what a file kept is; None where there are none."""
    return next((bits for bits in BITS if not (p * 2.0**bits % 1).any()), None)


def unpacked(members: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """The fields `probabilities` and, if it is kept, `logsumexp` of the trace whose file has `members`.

    Raises ValueError or IndexError for members of another form.
    """
    fields = {name: members[name] for name in ("probabilities", "logsumexp") if name in members}
    if "steps" in members:
        steps, bits = _together(members["steps"]), members["bits"].item()
        if bits not in BITS:
            raise ValueError(f"steps of {bits} bits")
        if "largest" in members:
            largest = members["largest"].astype(np.int64, casting="safe")[..., None]
            np.put_along_axis(steps, largest, 0, axis=-1)
            np.put_along_axis(steps, largest, 2**bits - steps.sum(axis=-1, keepdims=True), axis=-1)
        fields["probabilities"] = (steps * 2.0**-bits).astype(np.float32)
    if "scale" in members:
        bits = members["scale_bits"].item() if "scale_bits" in members else 17  # of files from before it was named
        fields["logsumexp"] = (_together(members["scale"]) * 2.0**-bits - LARGEST_LOGSUMEXP).astype(np.float32)
    return fields


def _apart(steps: np.ndarray) -> np.ndarray:
    """Whole numbers byte by byte, uint8 [4, *shape]: equal high bytes stand side by side, and pack."""
    return np.moveaxis(steps.astype("<u4")[..., None].view(np.uint8), -1, 0)


def _together(apart: np.ndarray) -> np.ndarray:
    """The whole numbers, int64, that `_apart` took to bytes."""
    if apart.dtype != np.uint8 or apart.shape[:1] != (4,):
        raise ValueError(f"steps of type {apart.dtype} and shape {apart.shape}")
    return sum(byte.astype(np.int64) << 8 * place for place, byte in enumerate(apart))
