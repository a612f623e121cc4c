"""Predicting with a trained model: one text, a list, a stream or encoded samples, under any exit rule."""

import copy
import logging
import warnings
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from transformers import PreTrainedTokenizerBase
from transformers.utils import cached_file

from fastbert_core.adaptive import Leaving, Predictions, one_by_one, pooled
from fastbert_core.encoding import Encoded, check_vocabulary, load_tokenizer
from fastbert_core.errors import InputError, RunError
from fastbert_core.exit_rules import ExitRule, get_rule
from fastbert_core.flops import EncoderShape
from fastbert_core.model import FastBertModel
from fastbert_core.operating_points import FILE, OperatingPoints, load_points, weights_sha256
from fastbert_core.pooling import SHRINK, Shapes
from fastbert_core.precision import resolve_device, resolve_precision
from fastbert_core.streams import TextPair, paired, stretches
from fastbert_core.tokens import frame
from fastbert_core.uncertainty import check_speed

log = logging.getLogger(__name__)

# Padded tokens of a full batch, at most: larger ones are slower on a CPU, whose caches they leave.
TOKEN_BUDGET = {"cpu": 2048, "cuda": 16384}
# Padded tokens that take as long as one batch more: on a CPU, measured with 12x768; a GPU is far less busy below them.
BATCH_COST = {"cpu": 64, "cuda": 2048}


class Prediction(NamedTuple):
    """What the model says of one text.

    label, index: the class, by name and by number, or what the task type answers: the labels that hold, a score, the
    tags of the words; exit_layer: layers executed, from 1; uncertainty: in [0, 1], of the
    classifier that decided; truncated: whether the text was longer than `max_tokens` and was cut; probabilities: of
    every class, in label order, by the classifier of the layer where it left
    """

    label: Any
    index: Any
    exit_layer: int
    uncertainty: float
    truncated: bool
    probabilities: tuple[float, ...] = ()


class Engine:
    """A trained model that predicts at any speed, under any exit rule.

    precision: `fp32`, `bf16`, or `auto`: bf16 where the device has it. Weights and hidden states are of that type.
    device: `cpu` or `cuda`; None leaves the model where it is
    max_tokens: what a text is cut to; None is what the model was trained with, 128 (paper, section 4.1) unless it says
        otherwise, or less where the encoder reads less
    token_budget: padded tokens of a full batch; None is TOKEN_BUDGET's
    points: the operating points of the model, by which it predicts at a speedup or a tolerated disagreement
    in_flight: samples that are read at a time and sorted by length. Memory does not grow beyond what these and one
        batch for each layer need, however many texts there are.

    The model is copied where its type or device must change, and is put into evaluation mode, where it must stay. The
    tokenizer is copied, so that threads and engines may share the one they are given.
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
        token_budget: int | None = None,
        in_flight: int = 8192,
        points: OperatingPoints | None = None,
    ) -> None:
        place = model.device if device is None else resolve_device(device)
        self.precision = resolve_precision(precision, place)
        dtype = torch.bfloat16 if self.precision == "bf16" else torch.float32
        if model.device.type != place.type or model.dtype != dtype:
            model = copy.deepcopy(model).to(place, dtype)
        check_vocabulary(tokenizer, model.config.backbone_config.vocab_size, "tokenizer")
        if not model.family.pooled:
            kind = model.backbone.config.model_type
            raise InputError(
                f"model: found one of family {kind}, which is dense only, expected one whose batches can be re-formed"
            )
        self.model, self.tokenizer = model.eval(), tokenizer
        self._tokenizer = copy.deepcopy(tokenizer)  # whose truncation and padding nobody else sets
        self._longest = EncoderShape.from_config(model.config).max_tokens
        self._least = [frame(self._tokenizer, pair).least for pair in (False, True)]
        least = self._least[bool(model.config.pair)]
        self.max_tokens = _size(
            "max_tokens", max_tokens, min(model.config.max_tokens, self._longest), self._longest, least
        )
        self.in_flight = _size("in_flight", in_flight)
        self._token_budget = _size("token_budget", token_budget, TOKEN_BUDGET[place.type])
        self._points, self._source = points, None
        self._shrunk = False  # once memory has run out, batches stay smaller

    @classmethod
    def from_pretrained(cls, source: str | Path, **options: Any) -> "Engine":
        """The engine of a trained model and its tokenizer (folder or hub id); `options`: those of the constructor.

        Operating points that lie beside the model are read when one is first asked for. Raises InputError if `source`
        holds no FastBERT with a tokenizer, and as the constructor does.
        """
        engine = cls(FastBertModel.from_pretrained(source), load_tokenizer(source), **options)
        engine._source = source
        return engine

    @property
    def points(self) -> OperatingPoints:
        """The model's operating points. Raises InputError if it has none, or has those of another model."""
        if self._points is None:
            beside = {"_raise_exceptions_for_missing_entries": False}
            file = self._source and cached_file(str(self._source), FILE, **beside)
            if file is None:
                remedy = "`fastbert calibrate MODEL --texts FILE` makes them, or give a speed"
                raise InputError(f"{self._source or 'model'}: found no {FILE}, expected operating points; {remedy}")
            self._points = load_points(Path(file), weights_sha256(Path(file).parent))
        return self._points

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
    ) -> Prediction | list[Prediction] | Iterator[Prediction] | Predictions:
        """Classify; a sample leaves at the first layer whose uncertainty is below `speed`, in [0, 1].

        In its place may stand what is wanted of new texts like those of calibration: `speedup`, so many times fewer
        multiply-accumulates than without exits, or `max_disagreement`, the share that may be answered otherwise than by
        the full model, kept with 90% confidence.

        One text gives a Prediction, an iterator an iterator, any other iterable a list, all in input order; Encoded
        samples give Predictions. `pairs` holds the second texts, in the form of the first; Encoded samples hold theirs.
        max_layers: every sample leaves there at the latest; None is the last layer.
        rule: one of RULES, or one that was fitted, whose threshold `speed` then is; None is that of the task type,
            entropy, which is FastBERT's, where each text has one label.
        batch_size: samples of a full batch, which the token budget limits too; None leaves it to that. With 1 each
            sample runs at once and alone, and an iterator's is delivered before the next is read.

        An iterator that raises has what came before delivered first. Raises InputError unless exactly one of `speed`,
        `speedup` and `max_disagreement` is given, and is one there can be; as `points` does; for an unknown or unfitted
        rule, sizes that are no positive integers, more layers than there are, samples that are no texts, that have
        nothing to be seen or are too long, texts that do not match their pairs in form or number, and pairs where the
        model was trained on single texts, or the reverse; RunError if memory runs out for smaller batches too, and if
        a layer's probabilities are not finite.
        """
        rule = self.model.kind.base if rule is None else rule
        last = _size("max_layers", max_layers, self.model.layers, self.model.layers)
        kind, threshold = self.model.kind, self._threshold(speed, speedup, max_disagreement, rule)
        leaving = Leaving(get_rule(rule), threshold, last, kind)
        kind.check_rule(leaving.rule, rule if isinstance(rule, str) else type(rule).__name__)
        rows = None if batch_size is None else _size("batch_size", batch_size)
        if pairs is not None and (isinstance(texts, Encoded) or isinstance(pairs, str) != isinstance(texts, str)):
            raise InputError(f"pairs: found {type(pairs).__name__} with texts of type {type(texts).__name__}")
        if isinstance(texts, Encoded):
            return self._classify(texts, leaving, rows)
        if self.model.config.pair not in (None, pairs is not None):
            expected = "a second text for each" if self.model.config.pair else "none"
            found = "none" if pairs is None else type(pairs).__name__
            raise InputError(f"pairs: found {found}, expected {expected}, as in the model's training")
        _size("max_tokens", self.max_tokens, None, self._longest, self._least[pairs is not None])
        if isinstance(texts, str):
            return next(self._stream(paired([texts], None if pairs is None else [pairs]), leaving, 1))
        predictions = self._stream(paired(texts, pairs), leaving, rows)
        return predictions if isinstance(texts, Iterator) else list(predictions)

    def _threshold(
        self, speed: float | None, speedup: float | None, max_disagreement: float | None, rule: str | ExitRule
    ) -> float:
        given = {"speed": speed, "speedup": speedup, "max_disagreement": max_disagreement}
        given = [name for name, value in given.items() if value is not None]
        if len(given) != 1:
            found = " and ".join(given) or "none of them"
            raise InputError(f"predict: found {found}, expected one of speed, speedup and max_disagreement")
        if speed is not None:
            return check_speed(speed)
        if rule != self.points.rule:
            raise InputError(f"rule: found {rule!r}, expected {self.points.rule}, which the operating points are of")
        return self.points.threshold(speedup, max_disagreement)

    def shapes(self, batch_size: int | None = None) -> Shapes:
        """The shapes that batches have."""
        return Shapes(self._longest, self._token_budget, batch_size, BATCH_COST[self.model.device.type])

    def _stream(self, items: Iterator[TextPair], leaving: Leaving, rows: int | None) -> Iterator[Prediction]:
        for stretch in stretches(items, 1 if rows == 1 else self.in_flight):
            texts, pairs = zip(*stretch, strict=True)
            pairs = None if pairs[0] is None else pairs
            encoded = self.model.kind.encode(self._tokenizer, texts, pairs, self.max_tokens)
            if cut := int(encoded.truncated.sum()):
                log.info("%d of %d texts were cut to %d tokens", cut, len(encoded), self.max_tokens)
            yield from self._predictions(encoded, leaving, rows)

    def _predictions(self, encoded: Encoded, leaving: Leaving, rows: int | None) -> Iterator[Prediction]:
        found, config = self._classify(encoded, leaving, rows), self.model.config
        of_samples = (found.exit_layers, found.uncertainties, encoded.truncated)
        answers = encoded.by_text(found.labels), encoded.by_text(found.probabilities)
        for answer, p, exit_layer, uncertainty, cut in zip(*answers, *(c.tolist() for c in of_samples), strict=True):
            label, index = self.model.kind.told(answer, config)
            yield Prediction(label, index, exit_layer, uncertainty, cut, tuple(p))

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
            if not _out_of_memory(error):
                raise
            if alone or self._shrunk:
                raise RunError("memory ran out, even for the smallest batches that are tried") from error
        # Past the except block, where the tensors that the error's frames held are free.
        warnings.warn(f"memory ran out; going on with batches {SHRINK} times smaller", stacklevel=3)
        self._shrunk = True
        if self.model.device.type == "cuda":
            torch.cuda.empty_cache()
        return self._classify(encoded, leaving, rows)


def _size(name: str, value: int | None, default: int | None = None, most: int | None = None, least: int = 1) -> int:
    """`value`, or `default` where it is None. Raises InputError unless it is an integer from `least` to `most`."""
    if value is None and default is not None:
        return default
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if not whole or value < least or (most is not None and value > most):
        limits = "a positive integer" if most is None else f"an integer from {least} to {most}"
        raise InputError(f"{name}: found {value!r}, expected {limits}")
    return int(value)


def _out_of_memory(error: Exception) -> bool:
    """Whether memory ran out. On the CPU PyTorch has no class of its own for that."""
    return isinstance(error, MemoryError | torch.OutOfMemoryError) or "can't allocate memory" in str(error)
