"""Where samples wait between two layers until there are enough of them for a full batch.

Samples enter the model longest first, and every layer handles them in the order in which they come, so those that
wait for a layer are always of like length: nothing is ever sorted again. Survivors of a layer are copied once, straight
into the next layer's buffer, and run from there when it is full. A layer has one buffer, so what waits is bounded by
one batch a layer, however many samples there are. Where few samples come, a batch spans many lengths; it is cut where
that saves more padding than a further batch costs.
"""

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import torch
from torch import Tensor

# Padded lengths are multiples of this: few distinct shapes, little padding.
WIDTH_STEP = 8
# When memory runs out, batches become so many times smaller.
SHRINK = 4


@dataclass(frozen=True)
class Shapes:
    """The shapes that batches have.

    longest: tokens that the encoder can read
    tokens: padded tokens of a full batch, at most
    rows: samples of a full batch, at most; None follows from `tokens`
    batch_cost: padded tokens that take as long as having one batch more
    """

    longest: int
    tokens: int
    rows: int | None = None
    batch_cost: int = 64

    def width(self, tokens: int) -> int:
        """Tokens to which a text of so many is padded."""
        return min(-(-int(tokens) // WIDTH_STEP) * WIDTH_STEP, self.longest)

    def capacity(self, width: int) -> int:
        """Rows of a full batch of texts padded to `width`."""
        rows = max(1, self.tokens // width)
        return rows if self.rows is None else min(rows, self.rows)

    def smaller(self) -> "Shapes":
        """The same for batches SHRINK times smaller."""
        return replace(
            self, tokens=max(1, self.tokens // SHRINK), rows=None if self.rows is None else max(1, self.rows // SHRINK)
        )


@dataclass
class Group:
    """Samples that go through the layers side by side, longest first.

    samples: int64 [batch], their numbers in the input
    lengths: int64 [batch], real tokens
    hidden: [batch, tokens, hidden] after `layer` executed layers; 0 is the embeddings
    masks: the mask, and the layers' context; None until the group first runs
    said: probabilities float32 [batch, layer, classes] of all exits so far; None where the exit rule does not look back
    """

    samples: np.ndarray
    lengths: np.ndarray
    hidden: Tensor
    layer: int = 0
    masks: tuple[Tensor | None, Any] | None = None
    said: np.ndarray | None = None

    def __len__(self) -> int:
        return len(self.samples)

    def mask(self) -> Tensor | None:
        """bool [batch, tokens], True at real tokens; None where nothing is padded."""
        width, device = self.hidden.shape[1], self.hidden.device
        if (self.lengths == width).all():
            return None
        lengths = torch.from_numpy(self.lengths).to(device, non_blocking=True)
        return torch.arange(width, device=device) < lengths[:, None]

    def take(self, rows: np.ndarray) -> "Group":
        """The given rows (int64, ascending) alone, copied; the group itself where these are all."""
        if len(rows) == len(self):
            return self
        said = None if self.said is None else self.said[rows]
        index = torch.from_numpy(rows).to(self.hidden.device, non_blocking=True)
        return Group(self.samples[rows], self.lengths[rows], self.hidden.index_select(0, index), self.layer, said=said)


class Pool:
    """The samples that wait for each layer, in batches of the given shapes."""

    def __init__(self, shapes: Shapes) -> None:
        self._shapes = shapes
        self._filling: dict[int, Buffer] = {}  # by layers executed
        self._full: list[Group] = []

    def add(self, group: Group, stays: np.ndarray) -> None:
        """Take the rows of `group` for which `stays` (bool [batch]) is True: they wait for the next layer."""
        rows, layer = np.flatnonzero(stays), group.layer
        if layer not in self._filling and len(rows) == len(group) == self._shapes.capacity(group.hidden.shape[1]):
            self._full.append(group)  # full as it is: nothing to copy
            return
        while len(rows):
            if layer not in self._filling:
                width = self._shapes.width(group.lengths[rows[0]])
                self._filling[layer] = Buffer(group, self._shapes.capacity(width), width)
            buffer = self._filling[layer]
            taken, rows = rows[: buffer.room], rows[buffer.room :]
            buffer.append(group, taken)
            if not buffer.room:
                self._full.append(self._filling.pop(layer).group())

    def full_batch(self) -> Group | None:
        """The full batch that is deepest in the model, first come first; None if there is none."""
        if not self._full:
            return None
        return self._narrow(self._full.pop(max(range(len(self._full)), key=lambda at: self._full[at].layer)))

    def rest(self) -> Group | None:
        """What waits, short of a full batch, for the first layer that anything waits for; None if nothing does."""
        if not self._filling:
            return None
        return self._narrow(self._filling.pop(min(self._filling)).group())

    def _narrow(self, group: Group) -> Group:
        """The first of the parts that `group` is cut into; the others come next, as full batches."""
        parts = cut(group.lengths, self._shapes)
        if len(parts) == 1:
            return group
        first, *others = (_part(group, rows, self._shapes.width(group.lengths[rows.start])) for rows in parts)
        self._full[:0] = others
        return first


def cut(lengths: np.ndarray, shapes: Shapes) -> list[slice]:
    """The parts of a batch of `lengths` (int64 [batch], longest first) that cost the least.

    A part costs its padded tokens, and `batch_cost`.
    """
    widths = np.array([shapes.width(tokens) for tokens in lengths])
    starts = [0, *(np.flatnonzero(np.diff(widths)) + 1).tolist(), len(widths)]  # where a width begins, and the end
    costs, cuts = [0], [0]  # of all rows before each of `starts`: the least cost, and where the last part begins then
    for end in range(1, len(starts)):
        options = [
            costs[begin] + shapes.batch_cost + int(widths[starts[begin]]) * (starts[end] - starts[begin])
            for begin in range(end)
        ]
        costs.append(min(options))
        cuts.append(options.index(costs[-1]))
    parts, end = [], len(starts) - 1
    while end:
        parts.append(slice(starts[cuts[end]], starts[end]))
        end = cuts[end]
    return parts[::-1]


def _part(group: Group, rows: slice, width: int) -> Group:
    said = None if group.said is None else group.said[rows]
    hidden = group.hidden[rows, :width].contiguous()
    return Group(group.samples[rows], group.lengths[rows], hidden, group.layer, said=said)


class Buffer:
    """A batch of `capacity` rows and `width` tokens in the making, for samples that have executed `like.layer`."""

    def __init__(self, like: Group, capacity: int, width: int) -> None:
        self.layer, self.filled = like.layer, 0
        self.hidden = like.hidden.new_empty(capacity, width, like.hidden.shape[2])
        self.samples = np.empty(capacity, np.int64)
        self.lengths = np.empty(capacity, np.int64)
        self.said = None if like.said is None else np.empty((capacity, *like.said.shape[1:]), like.said.dtype)

    @property
    def room(self) -> int:
        return len(self.samples) - self.filled

    def append(self, group: Group, rows: np.ndarray) -> None:
        """Copy the given rows (int64) of `group`, none of which is longer than the buffer is wide."""
        new = slice(self.filled, self.filled + len(rows))
        self.samples[new], self.lengths[new] = group.samples[rows], group.lengths[rows]
        if self.said is not None:
            self.said[new] = group.said[rows]
        index = torch.from_numpy(rows).to(group.hidden.device, non_blocking=True)
        place, width = self.hidden[new], group.hidden.shape[1]  # place: [rows, buffer's width, hidden]
        if width >= place.shape[1]:
            torch.index_select(group.hidden[:, : place.shape[1]], 0, index, out=place)
        else:
            place[:, :width] = group.hidden.index_select(0, index)
            place[:, width:] = 0  # masked, but a NaN in fresh memory would get through any mask
        self.filled = new.stop

    def group(self) -> Group:
        """The rows so far."""
        filled = slice(self.filled)
        said = None if self.said is None else self.said[filled]
        return Group(self.samples[filled], self.lengths[filled], self.hidden[filled], self.layer, said=said)
