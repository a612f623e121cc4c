"""Three ways to serve one model: without exits, with exits but in whole batches, and the online engine.

All take the same requests in the same thread, tokenise them there, and choose who runs together by the same rule; they
differ in what becomes of a batch.
"""

from collections import deque
from collections.abc import Callable
from concurrent.futures import Future
from types import SimpleNamespace

import numpy as np

from fastbert_core.adaptive import Leaving
from fastbert_core.encoding import encode
from fastbert_core.engine import Engine
from fastbert_core.exit_rules import get_rule
from fastbert_core.online import Online, Request
from fastbert_core.pooling import Group

WAYS = ("dense", "waiting", "ours")


class WholeBatches(Online):
    """What has arrived while a batch ran makes the next one; all of a batch are answered together, at its end.

    exits: whether samples stop computing where they leave; their answers wait for the slowest all the same. Without,
    no student runs.
    """

    def __init__(self, engine: Engine, exits: bool) -> None:
        super().__init__(engine.model, engine.tokenizer.pad_token_id, engine.shapes(), engine.online.most)
        self._exits = exits

    def _send(self, running: deque) -> None:
        """In the place of the engine's one layer of one group: all layers of one batch, and its answers."""
        group = self._waiting.next()
        if group is None:
            return
        left = self._with_exits(group) if self._exits else self._to_the_end(group)
        self.counts.batches, self.counts.rows = self.counts.batches + 1, self.counts.rows + len(left)
        self._answer(group.samples, [SimpleNamespace(exit_layer=layer) for layer in left.tolist()])

    def _to_the_end(self, group: Group) -> np.ndarray:
        for _ in range(self._model.layers):
            self._run_layer(group)
        self._model.classify(group.layer, group.hidden, group.masks[0]).argmax(dim=-1).cpu()
        return np.full(len(group), group.layer)

    def _with_exits(self, group: Group) -> np.ndarray:
        """Exit layers int64 [batch]."""
        leaving = self._requests[int(group.samples[0])].leaving  # all want the same here
        left, rows = np.zeros(len(group), np.int64), np.arange(len(group))
        while len(rows):
            self._run_layer(group)
            p = leaving.told(self._model.classify(group.layer, group.hidden, group.masks[0])).cpu().numpy()
            *_, stays = leaving.judge(None, p, group.layer)
            left[rows[~stays]] = group.layer
            rows, group = rows[stays], group.take(np.flatnonzero(stays))
        return left

    def _run_layer(self, group: Group) -> None:
        if group.masks is None:
            mask = group.mask()
            group.masks = (mask, self._model.context(group.hidden, mask))
        group.layer += 1
        group.hidden = self._model.run_layer(group.layer, group.hidden, group.masks[1])


def server(way: str, engine: Engine, speed: float) -> tuple[Callable[[str], Future], Callable[[], None]]:
    """Two functions: one submits a text, the other ends what was begun for this server."""
    if way == "ours":
        return lambda text: engine.submit(text, speed), lambda: None
    whole = WholeBatches(engine, exits=way == "waiting")
    leaving = Leaving(get_rule("entropy"), speed, engine.model.layers)

    def submit(text: str) -> Future:
        request = Request(encode(engine.tokenizer, [text], None, engine.max_tokens), leaving)
        whole.submit(request, wait=False)
        return request.future

    return submit, whole.close
