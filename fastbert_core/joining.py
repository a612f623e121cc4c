"""Where requests wait between two layers: which layer runs next, and who runs together.

The layer where the oldest request waits runs next, with those that wait there too and are of like length. But as long
as they do not fill a batch, whoever is one layer behind runs first, and then joins. So batches grow by themselves as
the load does, what arrives during a layer goes on with the others after two, and nobody waits for a batch to fill, nor
longer than it takes to fill one.

The order was chosen by simulation (Poisson arrivals up to the ceiling; a batch costs 64 or 400 padded tokens more than
it has; three and six layers of twelve in the mean). To run the deepest full batch first, as for a list of texts,
doubled the 99th percentile near the ceiling; the shallowest layer first made the fullest batches and let the deep ones
starve; the oldest alone, whom nobody joins, took up to a fifth longer in the median; to let those join that are two
layers or more behind lengthened the 99th percentile.
"""

from collections.abc import Callable
from typing import Any

import numpy as np

from fastbert_core.pooling import Buffer, Group, Shapes, cut


class Waiting:
    """Requests by number, in the order of arrival: new ones, and groups that have executed a layer or more.

    embedded: makes the group of layer 0 of numbers (int64) and their new requests
    length: tokens of a new request
    """

    def __init__(
        self, shapes: Shapes, embedded: Callable[[np.ndarray, list[Any]], Group], length: Callable[[Any], int]
    ) -> None:
        self.shapes = shapes
        self._embedded, self._length = embedded, length
        self._new: dict[int, Any] = {}
        self._groups: list[Group] = []

    def __len__(self) -> int:
        """How many wait."""
        return len(self._new) + sum(map(len, self._groups))

    def admit(self, number: int, request: Any) -> None:
        """Let a new request wait for the first layer. Numbers ascend."""
        self._new[number] = request

    def put_back(self, group: Group, stays: np.ndarray) -> None:
        """Let the rows of `group` for which `stays` (bool [batch]) is True wait for their next layer."""
        if stays.any():
            self._groups.append(group.take(np.flatnonzero(stays)))

    def drop(self, numbers: set[int]) -> None:
        """Forget these."""
        for number in numbers & self._new.keys():
            del self._new[number]
        groups, self._groups = self._groups, []
        for group in groups:
            self.put_back(group, ~np.isin(group.samples, list(numbers)))

    def next(self) -> Group | None:
        """The group that runs next; None if nobody waits."""
        if not self._groups:
            return self._start() if self._new else None
        number, layer = min((int(group.samples.min()), group.layer) for group in self._groups)
        if self._new and next(iter(self._new)) < number:
            return self._start()
        layers = {group.layer for group in self._groups}
        tokens = sum(int(group.lengths.sum()) for group in self._groups if group.layer == layer)
        if tokens < self.shapes.tokens and (layer - 1 in layers or (layer == 1 and self._new)):
            layer -= 1
        return self._go_on(layer) if layer in layers else self._start()

    def _start(self) -> Group:
        numbers = np.array(list(self._new))
        lengths = np.array([self._length(request) for request in self._new.values()])
        numbers = np.sort(numbers[together(numbers, lengths, self.shapes)])
        group = self._embedded(numbers, [self._new[number] for number in numbers.tolist()])
        for number in numbers.tolist():
            del self._new[number]
        return group

    def _go_on(self, layer: int) -> Group:
        here = [group for group in self._groups if group.layer == layer]
        numbers = np.concatenate([group.samples for group in here])
        lengths = np.concatenate([group.lengths for group in here])
        chosen = numbers[together(numbers, lengths, self.shapes)]
        parts, left = [], [group for group in self._groups if group.layer != layer]
        for group in here:
            runs = np.isin(group.samples, chosen)
            for rows, into in ((np.flatnonzero(runs), parts), (np.flatnonzero(~runs), left)):
                if len(rows):
                    into.append(group.take(rows))
        batch = joined(parts, self.shapes)
        self._groups = left  # now that nothing can fail any more
        return batch


def together(numbers: np.ndarray, lengths: np.ndarray, shapes: Shapes) -> np.ndarray:
    """Which rows (int64) run in the batch of the oldest, the one of the lowest number; no more than one batch holds.

    Those of a length where a batch of their own would cost more than their padding; of too many, first the shorter
    ones, which are padded to its length, then the longer.
    """
    order = np.lexsort((numbers, -lengths))  # longest first
    oldest = int(np.flatnonzero(order == numbers.argmin())[0])
    (part,) = (part for part in cut(lengths[order], shapes) if part.start <= oldest < part.stop)
    room = shapes.capacity(shapes.width(lengths[order[oldest]]))
    start, stop = oldest, min(part.stop, oldest + room)
    while start > part.start and stop - start < shapes.capacity(shapes.width(lengths[order[start - 1]])):
        start -= 1
    return order[start:stop]


def joined(parts: list[Group], shapes: Shapes) -> Group:
    """One group of all rows, padded to the longest of them; the part itself where there is but one."""
    if len(parts) == 1:
        return parts[0]
    width = shapes.width(max(part.lengths.max() for part in parts))
    buffer = Buffer(parts[0], sum(map(len, parts)), width)
    for part in parts:
        buffer.append(part, np.arange(len(part)))
    return buffer.group()
