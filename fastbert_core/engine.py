"""Predicting with a trained model: one text, a list, a stream, encoded samples, or request by request."""

import copy
import logging
import math
import time
import warnings
import weakref
from collections.abc import Iterable, Iterator
from concurrent.futures import Future
from functools import cached_property
from pathlib import Path
from typing import Any

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase

from fastbert_core.adaptive import Leaving, Prediction, Predictions, one_by_one, pooled
from fastbert_core.bounds import positive, whole
from fastbert_core.budgets import Alarm, Budget, Pace, Steady
from fastbert_core.encoder_folder import load_tokenizer
from fastbert_core.encoding import Encoded, check_vocabulary
from fastbert_core.errors import InputError, RunError
from fastbert_core.exit_rules import ExitRule, get_rule
from fastbert_core.files import model_source
from fastbert_core.flops import EncoderShape
from fastbert_core.known_precision import known_precision
from fastbert_core.loading import file_beside
from fastbert_core.memory import out_of_memory
from fastbert_core.model import FastBertModel
from fastbert_core.online import Online, Request
from fastbert_core.operating_points import FILE, OperatingPoints, load_points
from fastbert_core.pooling import SHRINK, Shapes
from fastbert_core.precision import ENGINE_PRECISIONS, FASTEST, resolve_device, resolve_precision
from fastbert_core.reduced import folded, in_precision
from fastbert_core.streams import TextPair, paired, stretches
from fastbert_core.tokens import frame
from fastbert_core.uncertainty import check_speed

log = logging.getLogger(__name__)

# Padded tokens of a full batch, at most: larger ones are slower on a CPU, whose caches they leave.
TOKEN_BUDGET = {"cpu": 2048, "cuda": 16384}
# Padded tokens that take as long as one batch more: on a CPU, measured with 12x768; a GPU is far less busy below them.
BATCH_COST = {"cpu": 64, "cuda": 2048}
BUDGETED = 32  # texts that leave by one threshold, where a budget moves it
WATCHED = 10_000  # texts that an alarm watches before the next begins, as it keeps a number of each


class Engine:
    """A trained model that predicts at any speed, under any exit rule.

    precision: `fp32`, `bf16`, `auto`: bf16 where the device has it; `fp16` on CUDA; `int8` on a CPU. Of that type are
        the backbone, its hidden states and the layers of the classifiers that read them; in int8, the weights of the
        backbone's linear layers alone
    device: `cpu`, `cuda` or `cuda:N`; None leaves the model where it is
    max_tokens: what a text is cut to; None is what the model was trained with, 128 (paper, section 4.1) unless it says
        otherwise, or less where the encoder reads less
    in_flight: samples that are read at a time and sorted by length. Memory does not grow beyond what these and one
        batch for each layer need, however many texts there are.
    queue: requests of `submit` that may be under way at a time

    The model is copied where its type or device must change, and is put into evaluation mode, where it must stay. What
    is linear in its classifiers is multiplied out once: what they learn later the engine does not see. The tokenizer is
    copied, so that threads and engines may share the one they are given.
    Raises InputError for an unknown precision, a device that is not there, sizes that are too small or too large, and a
    tokenizer of more tokens than the model knows.
    """

    def __init__(
        self,
        model: FastBertModel,
        tokenizer: PreTrainedTokenizerBase,
        precision: str = "fp32",
        device: str | None = None,
        max_tokens: int | None = None,
        in_flight: int = 8192,
        queue: int = 1024,
    ) -> None:
        place = model.device if device is None else resolve_device(device)
        self.precision = resolve_precision(precision, place, ENGINE_PRECISIONS)
        model = in_precision(model, self.precision, place)
        check_vocabulary(tokenizer, model.config.backbone_config.vocab_size, "tokenizer")
        if tokenizer.pad_token_id is None:
            raise InputError("tokenizer: found no padding token, expected one; tokenizer.pad_token names it")
        if not model.family.pooled:
            kind = model.backbone.config.model_type
            raise InputError(
                f"model: found one of family {kind}, which is dense only, expected one whose batches can be re-formed"
            )
        self.model, self.tokenizer = folded(model), tokenizer
        self._tokenizer = copy.deepcopy(tokenizer)  # whose truncation and padding nobody else sets
        self._longest = EncoderShape.from_config(model.config).max_tokens
        least = frame(self._tokenizer, bool(model.config.pair)).least
        self.max_tokens = whole(
            "max_tokens", max_tokens, min(model.config.max_tokens, self._longest), self._longest, least
        )
        self.in_flight = whole("in_flight", in_flight)
        self._source = None
        self._shrunk = False  # once memory has run out, batches stay smaller
        self.online = Online(self.model, tokenizer.pad_token_id, self.shapes(), whole("queue", queue))
        weakref.finalize(self, self.online.close)  # at the interpreter's end too: nothing under way is lost

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> "Engine":
        """The engine of a trained model and its tokenizer (folder or hub id); `options`: those of the constructor.

        `precision="fastest"` is what `fastbert calibrate` has found on a machine of this kind. Operating points that
        lie beside the model are read when one is first asked for. Raises InputError if `source` holds no FastBERT with
        a tokenizer, and as the constructor does.
        """
        model_source(source)
        model = FastBertModel.from_pretrained(source)
        if options.get("precision") == FASTEST:
            options["precision"] = known_precision(source, resolve_device(options.get("device") or "cpu"))
        engine = cls(model, load_tokenizer(source), **options)
        engine._source = source
        return engine

    @cached_property
    def points(self) -> OperatingPoints:
        """The model's operating points. Raises InputError if it has none, or has those of another model."""
        file = self._source and file_beside(self._source, FILE)
        if file is None:
            remedy = "`fastbert calibrate MODEL --texts FILE` makes them, or give a speed"
            raise InputError(f"{self._source or 'model'}: found no {FILE}, expected operating points; {remedy}")
        return load_points(file)

    def predict(
        self,
        texts: str | Iterable[str] | Encoded,
        speed: float | None = None,
        pairs: str | Iterable[str] | None = None,
        max_layers: int | None = None,
        batch_size: int | None = None,
        rule: str | ExitRule | None = None,
        *,
        speedup: float | None = None,
        max_disagreement: float | None = None,
        budget: float | None = None,
        layers_per_second: float | None = None,
    ) -> Prediction | list[Prediction] | Iterator[Prediction] | Predictions:
        """Classify; a sample leaves at the first layer whose uncertainty is below `speed`, in [0, 1].

        In its place may stand what is wanted of new texts like those of calibration: `speedup`, so many times fewer
        multiply-accumulates than without exits, or `max_disagreement`, the share that may be answered otherwise than by
        the full model, kept with 90% confidence (certified in fp32); or, of a stream, `budget`, the mean of executed
        layers that is held whatever comes, or `layers_per_second`, which is held where texts come at their own pace
        (fastbert_core/budgets.py). A stream that no longer looks like calibration is warned of.

        One text gives a Prediction, an iterator an iterator, any other iterable a list, all in input order; Encoded
        samples give Predictions. `pairs` holds the second texts, in the form of the first; Encoded samples hold theirs.
        max_layers: every sample leaves there at the latest; None is the last layer.
        rule: one of RULES, or one that was fitted, whose threshold `speed` then is; None is that of the task type,
            entropy, which is FastBERT's, where each text has one label.
        batch_size: samples of a full batch, which the token budget limits too; None leaves it to that. With 1 each
            sample runs at once and alone, and an iterator's is delivered before the next is read.

        An iterator that raises has what came before delivered first. Raises InputError unless exactly one of
        `speed`, `speedup`, `max_disagreement`, `budget` and `layers_per_second` is given, and is one there can be; as
        `points` does; for an unknown or unfitted rule, a budget of one text or of encoded samples, sizes that are no
        positive integers, more layers than there are, samples that are no texts, that have nothing to be seen or are
        too long, texts that do not match their pairs in form or number, and pairs where the model was trained on
        single texts, or the reverse; RunError if memory runs out for smaller batches too, and if a layer's
        probabilities are not finite.
        """
        last = self._last(max_layers)
        wanted = {
            "speed": speed,
            "speedup": speedup,
            "max_disagreement": max_disagreement,
            "budget": budget,
            "layers_per_second": layers_per_second,
        }
        rule, steer = self._steer(wanted, rule, last)
        rows = None if batch_size is None else whole("batch_size", batch_size)
        if pairs is not None and (isinstance(texts, Encoded) or isinstance(pairs, str) != isinstance(texts, str)):
            raise InputError(f"pairs: found {type(pairs).__name__} with texts of type {type(texts).__name__}")
        if isinstance(steer, Budget) and isinstance(texts, str | Encoded):
            found = "one text" if isinstance(texts, str) else "encoded samples"
            raise InputError(f"budget: found {found}, expected a list or an iterator of texts")
        if isinstance(texts, Encoded):
            if (texts.words is None) == self.model.kind.of_words:
                found = "samples without words" if texts.words is None else "samples of words"
                raise InputError(f"encoded: found {found}, expected what the model's own kind.encode makes")
            return self._classify(texts, Leaving(rule, steer.threshold, last, self.model.kind), rows)
        self._check_form(pairs)
        if isinstance(texts, str):
            return next(self._stream(paired([texts], None if pairs is None else [pairs]), rule, steer, last, 1))
        alarm = None if speed is not None else Alarm(self.points.first)
        predictions = self._stream(paired(texts, pairs), rule, steer, last, rows, alarm)
        return predictions if isinstance(texts, Iterator) else list(predictions)

    def submit(
        self,
        text: str,
        speed: float | None = None,
        pair: str | None = None,
        max_layers: int | None = None,
        rule: str | ExitRule | None = None,
        *,
        speedup: float | None = None,
        max_disagreement: float | None = None,
        deadline: float | None = None,
        wait: bool = False,
    ) -> "Future[Prediction]":
        """Classify one text among others that come at any time, from any thread; returns at once.

        Arguments are those of `predict`, and so is the answer. Requests that differ in them run together.
        deadline: seconds from now in which a request must have begun its last layer, or it ends with DeadlinePassed
        wait: whether to wait, up to the deadline, where the queue is full; a callback of a future never waits

        In asyncio: `await asyncio.wrap_future(engine.submit(...))`. A future that is cancelled costs no further layer.
        Raises InputError as `predict`, QueueFull, and Closed after `close`. Callbacks of the future run in the thread
        that runs the model, and must be short.
        """
        wanted = {"speed": speed, "speedup": speedup, "max_disagreement": max_disagreement}
        last = self._last(max_layers)
        rule, steer = self._steer(wanted, rule, last)
        leaving = Leaving(rule, steer.threshold, last, self.model.kind)
        allowed = math.inf if deadline is None else positive("deadline", deadline, "a positive number of seconds")
        until = time.monotonic() + allowed
        self._check_form(pair)
        if self.model.kind.of_words:
            raise InputError("submit: found a model of words, expected one that gives a text one answer; see predict")
        ((text, pair),) = paired([text], None if pair is None else [pair])
        encoded = self.model.kind.encode(self._tokenizer, [text], None if pair is None else [pair], self.max_tokens)
        request = Request(encoded, leaving, until)
        self.online.submit(request, wait)
        return request.future

    def close(self, finish: bool = True) -> None:
        """Refuse further requests, and return when those under way are answered; unless `finish`, they end with Closed.

        `predict` can still be used.
        """
        self.online.close(finish)

    def __enter__(self) -> "Engine":
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _last(self, max_layers: int | None) -> int:
        return whole("max_layers", max_layers, self.model.layers, self.model.layers)

    def _steer(
        self, wanted: dict[str, float | None], rule: str | ExitRule | None, last: int
    ) -> tuple[ExitRule, Steady | Budget]:
        """The rule, or the task type's own where none is named, and what says its threshold for the next samples.

        last: the layer where all leave, beyond which a budget can allow nothing
        """
        given = {name: value for name, value in wanted.items() if value is not None}
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            expected = "one of speed, speedup, max_disagreement, budget and layers_per_second"
            raise InputError(f"predict: found {found}, expected {expected}")
        found = self.model.kind.rule(rule)
        if "speed" in given:
            return found, Steady(check_speed(given["speed"]))
        calibrated = get_rule(self.points.rule)
        if type(found) is not type(calibrated) or vars(found) != vars(calibrated):
            name = rule if isinstance(rule, str) else type(found).__name__
            raise InputError(f"rule: found {name!r}, expected {self.points.rule}, which the operating points are of")
        if "max_disagreement" in given:
            self._check_promised(last)
        for target, holds in (("budget", Budget), ("layers_per_second", Pace)):
            if target in given:
                return found, holds(self.points.thresholds, np.minimum(self.points.layers, last), given[target])
        return found, Steady(self.points.threshold(**given))

    def _check_promised(self, last: int) -> None:
        """Raise InputError where a tolerated disagreement was certified of a model with more layers, or other texts."""
        tokens = min(self.points.max_tokens, self._longest)
        certified = {"max_layers": (last, self.model.layers), "max_tokens": (self.max_tokens, tokens)}
        for name, (found, expected) in certified.items():
            if found != expected:
                raise InputError(f"{name}: found {found}, expected {expected}, as max_disagreement was certified")

    def _check_form(self, pairs: object) -> None:
        """Raise InputError unless there are second texts, or None, as in the model's training."""
        if self.model.config.pair not in (None, pairs is not None):
            expected = "a second text for each" if self.model.config.pair else "none"
            found = "none" if pairs is None else type(pairs).__name__
            raise InputError(f"pairs: found {found}, expected {expected}, as in the model's training")

    def shapes(self, batch_size: int | None = None) -> Shapes:
        """The shapes that batches have."""
        kind = self.model.device.type
        return Shapes(self._longest, TOKEN_BUDGET[kind], batch_size, BATCH_COST[kind])

    def _stream(
        self,
        items: Iterator[TextPair],
        rule: ExitRule,
        steer: Steady | Budget,
        last: int,
        rows: int | None,
        alarm: Alarm | None = None,
    ) -> Iterator[Prediction]:
        at_a_time = min(BUDGETED, self.in_flight) if isinstance(steer, Budget) else self.in_flight
        watched = 0
        for stretch in stretches(items, 1 if rows == 1 else at_a_time):
            texts, pairs = zip(*stretch, strict=True)
            pairs = None if pairs[0] is None else pairs
            encoded = self.model.kind.encode(self._tokenizer, texts, pairs, self.max_tokens)
            if cut := int(encoded.truncated.sum()):
                log.info("%d of %d texts were cut to %d tokens", cut, len(encoded), self.max_tokens)
            steer.begin(len(encoded))
            found = self._classify(encoded, Leaving(rule, steer.threshold, last, self.model.kind), rows)
            steer.spend(found.exit_layers)
            if alarm is not None and alarm.watch(found.first_scores):
                told = f"by text {watched + alarm.raised_at} the first exit is {'less' if alarm.above else 'more'} sure"
                log.warning("%s than on calibration's texts, for which promises hold; calibrate again", told)
                alarm = None
            elif alarm is not None and alarm.samples >= WATCHED:
                watched, alarm = watched + alarm.samples, Alarm(self.points.first)
            yield from found.each(self.model.config, encoded.truncated)

    def _classify(self, encoded: Encoded, leaving: Leaving, rows: int | None) -> Predictions:
        """Predictions for encoded samples; if memory runs out, once more and from then on with smaller batches."""
        lengths, pad_id = encoded.lengths, self.tokenizer.pad_token_id
        shapes = self.shapes(rows)
        if len(lengths) and not 1 <= lengths.min() <= lengths.max() <= self._longest:
            found = f"samples of {lengths.min()} to {lengths.max()} tokens"
            raise InputError(f"encoded: found {found}, expected 1 to {self._longest}")
        alone = rows == 1 or len(lengths) == 1
        try:
            if alone:
                return one_by_one(self.model, encoded, pad_id, leaving)
            return pooled(self.model, encoded, pad_id, leaving, shapes.smaller() if self._shrunk else shapes)
        except (MemoryError, RuntimeError) as error:
            if not out_of_memory(error):
                raise
            if alone or self._shrunk:
                raise RunError("memory ran out, even for the smallest batches that are tried") from error
        # Past the except block, where the tensors that the error's frames held are free.
        warnings.warn(f"memory ran out; going on with batches {SHRINK} times smaller", stacklevel=3)
        self._shrunk = True
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._classify(encoded, leaving, rows)
