"""Predicting online: requests come one at a time, and batches are re-formed at every layer while new ones join.

One thread runs the model. It takes what has arrived, runs one layer of one group (`joining.py` says which), answers
those that leave, and begins again. So a request joins within a layer of its arrival, and leaves within a layer of being
sure; nobody waits for the slowest of a batch. Requests may differ in speed and in exit rule.
"""

import logging
import math
import threading
import time
from collections import deque
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from torch import Tensor

from fastbert_core.adaptive import AHEAD, Leaving, Predictions, embed, run
from fastbert_core.encoding import Encoded
from fastbert_core.errors import Closed, DeadlinePassed, QueueFull, RunError
from fastbert_core.joining import Waiting
from fastbert_core.memory import out_of_memory
from fastbert_core.model import FastBertModel
from fastbert_core.pooling import Group, Shapes

log = logging.getLogger(__name__)


@dataclass(eq=False)
class Request:
    """One sample under way.

    encoded: the sample alone; leaving: when it leaves; deadline: on the clock of `time.monotonic`
    said: [layers so far, classes], what its exits said, where the exit rule looks back
    """

    encoded: Encoded
    leaving: Leaving
    deadline: float = math.inf
    future: Future = field(default_factory=Future)
    said: np.ndarray | None = None


@dataclass
class Counts:
    """What has been done: batches that ran a layer, their rows, and seconds in which the model was at work."""

    batches: int = 0
    rows: int = 0
    busy_seconds: float = 0.0


class Online:
    """The thread that runs a model for requests; it starts with the first one.

    most: requests under way at a time
    open: whether it takes requests; under_way: how many have neither an answer nor a refusal
    """

    def __init__(self, model: FastBertModel, pad_id: int, shapes: Shapes, most: int) -> None:
        self.counts, self.most = Counts(), most
        self._model, self._pad_id = model, pad_id
        self._changed = threading.Condition()  # guards all that the two next lines name
        self._arrived: deque[Request] = deque()
        self.under_way, self.open, self._finish = 0, True, True
        # Of the thread alone: who waits, and every request by its number.
        self._waiting = Waiting(shapes, self._embedded, lambda request: len(request.encoded.ids))
        self._requests: dict[int, Request] = {}
        self._next_number, self._shrunk = 0, False
        self._thread = threading.Thread(target=self._work, name="fastbert-online", daemon=True)

    def submit(self, request: Request, wait: bool) -> None:
        """Take a request; where there is no room, `wait` for some until its deadline, but never in the thread itself.

        Raises QueueFull where there is no room, DeadlinePassed where none came in time, Closed after `close`.
        """
        with self._changed:
            while self.open and self.under_way >= self.most:
                if not wait or threading.current_thread() is self._thread:  # which alone makes room
                    raise QueueFull(f"found {self.under_way} requests under way, expected fewer than {self.most}")
                left = request.deadline - time.monotonic()
                if left <= 0:
                    raise DeadlinePassed("the deadline passed while the request waited for room in the queue")
                self._changed.wait(min(left, threading.TIMEOUT_MAX))
            if not self.open:
                raise Closed("the engine is closed")
            self.under_way += 1
            self._arrived.append(request)
            if not self._thread.is_alive():
                self._thread.start()
            self._changed.notify_all()
        request.future.add_done_callback(self._left)

    def close(self, finish: bool = True) -> None:
        """Take nothing more, and return when all that is under way has its answer; or, unless `finish`, is Closed."""
        with self._changed:
            self.open, self._finish = False, self._finish and finish
            self._changed.notify_all()
        if self._thread.is_alive() and threading.current_thread() is not self._thread:
            self._thread.join()

    def _left(self, _: Future) -> None:
        with self._changed:
            self.under_way -= 1
            self._changed.notify_all()

    def _work(self) -> None:
        """The thread: until it is closed, and nothing is left."""
        running, ahead = deque(), AHEAD[self._model.device.type]
        try:
            with torch.inference_mode():
                while self._admit(idle=not running):
                    begun = time.perf_counter()
                    group = self._send(running)
                    if running and (group is None or len(running) > ahead):
                        self._settle(*running.popleft().answer())
                    self.counts.busy_seconds += time.perf_counter() - begun
        except BaseException as error:
            log.exception("the engine's thread has failed")
            self._end(error)
        self._end(Closed("the engine was closed before the request had an answer"))

    def _admit(self, idle: bool) -> bool:
        """Let in what has arrived and drop what nobody wants any more; wait if there is nothing else to do.

        Returns False once there is nothing left and nothing more will come.
        """
        with self._changed:
            while idle and self.open and not self._arrived and not len(self._waiting):
                self._changed.wait()
            if not self.open and not self._finish:
                return False
            arrived, self._arrived = self._arrived, deque()
            ending = not self.open
        for request in arrived:
            self._requests[self._next_number] = request
            self._waiting.admit(self._next_number, request)
            self._next_number += 1
        self._drop()
        return not (ending and idle and not len(self._waiting))

    def _drop(self) -> None:
        """Give up what was cancelled, and what is past its deadline, before it costs another layer."""
        now = time.monotonic()
        over = [n for n, each in self._requests.items() if each.deadline <= now or each.future.cancelled()]
        if over:
            self._waiting.drop(set(over))
            late = "the deadline passed before the request had an answer"
            self._answer(over, (DeadlinePassed(late) for _ in over))

    def _send(self, running: deque) -> Group | None:
        """Run the group that is next, if there is one, and put it among those whose answers are read later."""
        group = None
        try:
            group = self._waiting.next()
            if group is not None:
                running.append(run(self._model, group, Tensor.float))
                self.counts.batches += 1
                self.counts.rows += len(group)
        except (MemoryError, RuntimeError) as error:
            self._failed(group, error)
        return group

    def _settle(self, group: Group, logits: Tensor) -> None:
        """Answer the rows that leave after a layer whose exit says `logits` [batch, classes]; the others wait on.

        Rows of one rule are judged together, whatever their thresholds. A row whose probabilities are not finite fails
        alone.
        """
        by_rule: dict[int, list[int]] = {}
        stays = np.zeros(len(group), bool)
        for row, number in enumerate(group.samples.tolist()):
            if (request := self._requests.get(number)) is not None:  # else dropped while it ran
                by_rule.setdefault(id(request.leaving.rule), []).append(row)
        for rows in map(np.array, by_rule.values()):
            leaving = self._requests[int(group.samples[rows[0]])].leaving
            p = leaving.told(logits[rows]).numpy()
            sound = np.isfinite(p).all(axis=-1)
            for number in group.samples[rows[~sound]]:
                self._answer([number], [RunError(f"layer {group.layer}: the probabilities are not finite")])
            if sound.any():
                stays[rows[sound]] = self._judge(group, rows[sound], p[sound])
        self._waiting.put_back(group, stays)

    def _judge(self, group: Group, rows: np.ndarray, p: np.ndarray) -> np.ndarray:
        """Answer those of `rows`, all of one exit rule, which reads `p`, that leave; return who stays, bool [rows].

        If the rule raises an error, as one that was fitted on other classes does, these rows alone fail.
        """
        numbers = group.samples[rows]
        requests = [self._requests[number] for number in numbers.tolist()]
        rule = requests[0].leaving.rule
        wanted = (np.array([getattr(each.leaving, name) for each in requests]) for name in ("threshold", "last"))
        kind = self._model.kind
        leaving = Leaving(rule, *wanted, kind)
        said = np.stack([each.said for each in requests]) if rule.looks_back and group.layer > 1 else None
        try:
            said, scores, answers, stays = leaving.judge(said, p, group.layer)
        except Exception as error:
            self._answer(numbers, [error] * len(numbers))
            return np.zeros(len(rows), bool)
        for request, kept in zip(requests, said if said is not None else (), strict=said is not None):
            request.said = kept
        if not stays.all():
            found = Predictions.empty(int((~stays).sum()), p.shape[1], kind)
            found.put(np.arange(len(found)), answers[~stays], group.layer, scores[~stays], p[~stays])
            cut = np.array([requests[row].encoded.truncated[0] for row in np.flatnonzero(~stays)])
            self._answer(numbers[~stays], found.each(self._model.config, cut))
        return stays

    def _answer(self, numbers: np.ndarray | list, answers: Any) -> None:
        for number, answer in zip(numbers, answers, strict=True):
            _give(self._requests.pop(int(number)), answer)

    def _failed(self, group: Group | None, error: Exception) -> None:
        """Fail the requests of a batch; but once, if memory has run out, try smaller batches from then on."""
        if out_of_memory(error) and not self._shrunk:
            log.warning("memory ran out; going on with smaller batches")
            self._shrunk, self._waiting.shapes = True, self._waiting.shapes.smaller()
            if group is not None:
                self._waiting.put_back(group, np.ones(len(group), bool))
            return
        numbers = list(self._requests) if group is None else group.samples.tolist()
        self._waiting.drop(set(numbers))
        told = RunError("memory ran out, even for smaller batches") if out_of_memory(error) else error
        self._answer(numbers, [told] * len(numbers))

    def _end(self, error: BaseException) -> None:
        """Take nothing more, and refuse whatever is left."""
        with self._changed:
            self.open = False
            left, self._arrived = [*self._requests.values(), *self._arrived], deque()
            self._changed.notify_all()
        self._requests = {}
        for request in left:
            _give(request, error)

    def _embedded(self, numbers: np.ndarray, requests: list[Request]) -> Group:
        encoded = together([request.encoded for request in requests])
        lengths = encoded.lengths.astype(np.int64)
        # One text, whose answer is waited for, is not padded.
        width = int(lengths[0]) if len(lengths) == 1 else self._waiting.shapes.width(lengths.max())
        return Group(numbers, lengths, embed(self._model, encoded, np.arange(len(numbers)), width, self._pad_id))


def _give(request: Request, answer: Any) -> None:
    """Settle a request, unless whoever made it has cancelled it."""
    if not request.future.set_running_or_notify_cancel():
        return
    if isinstance(answer, BaseException):
        request.future.set_exception(answer)
    else:
        request.future.set_result(answer)


def together(samples: list[Encoded]) -> Encoded:
    """Samples that were encoded one by one, as one Encoded."""
    ids = np.concatenate([each.ids for each in samples])
    segments = None
    if any(each.segments is not None for each in samples):
        segments = np.concatenate(
            [np.zeros(len(each.ids), np.int8) if each.segments is None else each.segments for each in samples]
        )
    return Encoded(ids, segments, np.cumsum([0, *(len(each.ids) for each in samples)]))
