"""FLOPs, exact to the integer, in two units that are never mixed up.

The paper's unit (`paper_flops`, `dense_flops`): 2 FLOPs for each multiply-accumulate of the linear layers alone,
at 128 padded tokens, for the classifier that the paper describes. It prices a model as the paper does, whatever
the text and whatever code runs it. Source: table 1; the authors' README gives 21,785,247,744 for BERT.

True MACs (`true_macs`, `dense_true_macs`): multiply-accumulates that this suite executes for n real tokens, the
attention products, the output layers and our cheaper classifier included.

Neither counts embedding look-ups, biases, LayerNorm, softmax, tanh or GELU. Layers count from 1: a sample that leaves
at exit layer k has run k Transformer layers and k classifiers, the last of which may be the teacher.
"""

from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from functools import partial
from typing import Any

import numpy as np

from fastbert_core.backbones import FAMILIES, Operation
from fastbert_core.bounds import whole
from fastbert_core.errors import InputError
from fastbert_core.task_types import SINGLE, TASK_TYPES

PAPER_TOKENS = 128
FLOPS_PER_MAC = 2
LARGEST = 2**16  # of an encoder's sizes: what is larger is no encoder, and its counts need not fit into 64 bits


@dataclass(frozen=True)
class EncoderShape:
    """The sizes that FLOPs follow from: the encoder's, its classifiers' and the longest text it reads.

    family: one of FAMILIES, whose layers cost what its `operations` say; extra: the further sizes that these ask for
    token_classes: above 0, each layer's classifier is a linear one of so many classes that reads every token

    `described` and `EncoderShape(**d)` are inverse; traces keep the dictionary as metadata["encoder"], without family
    and extra where they are older than these, all of encoders with BERT's layers. Raises InputError for sizes
    that are no integers from 1 to LARGEST, widths that the heads do not divide, an unknown family, and for extra sizes
    that are not the family's.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    classifier: int = 128
    classifier_heads: int = 2
    max_tokens: int = 512
    family: str = "bert"
    extra: dict[str, int] = field(default_factory=dict, hash=False)
    token_classes: int = 0

    def __post_init__(self) -> None:
        if not isinstance(self.family, str) or not isinstance(self.extra, dict):
            found = f"family {self.family!r} and extra {self.extra!r}"
            raise InputError(f"encoder: found {found}, expected a name and a table")
        own = {name: size for name, size in vars(self).items() if name not in ("family", "extra")}
        for name, size in (*own.items(), *self.extra.items()):
            whole(f"encoder {name}", size, most=LARGEST, least=int(name in own and name != "token_classes"))
        for width, heads in (("hidden", "heads"), ("classifier", "classifier_heads")):
            size, parts = getattr(self, width), getattr(self, heads)
            if size % parts:
                raise InputError(f"encoder {heads}: found {parts}, expected a divisor of {width} {size}")
        try:
            FAMILIES[self.family].operations(self, first=True)
        except (KeyError, ZeroDivisionError) as error:
            expected = f"the sizes that the costs of {self.family} follow from"
            raise InputError(f"encoder extra: found {self.extra!r}, expected {expected}") from error

    @classmethod
    def from_config(cls, config: Any) -> "EncoderShape":
        """The shape of a transformers configuration, or of a FastBertConfig, which carries one and its classifiers'.

        Raises InputError unless it describes an encoder of one of FAMILIES.
        """
        encoder = getattr(config, "backbone_config", config)
        kind = getattr(encoder, "model_type", "") or type(encoder).__name__
        if kind not in FAMILIES:
            raise InputError(f"model_type: found {kind}, expected a Transformer encoder of {', '.join(FAMILIES)}")
        if getattr(encoder, "is_decoder", False) or getattr(encoder, "add_cross_attention", False):
            raise InputError(f"model_type: found a {kind} decoder, expected a Transformer encoder")
        family, task_type = FAMILIES[kind], TASK_TYPES[getattr(config, "task_type", SINGLE.name)]
        return cls(
            encoder.num_hidden_layers,
            encoder.hidden_size,
            getattr(encoder, family.intermediate),
            encoder.num_attention_heads,
            classifier=getattr(config, "classifier_width", 128),
            classifier_heads=getattr(config, "classifier_heads", 2),
            max_tokens=family.longest(encoder),
            family=kind,
            extra=family.sizes(encoder),
            token_classes=config.num_labels if task_type.of_words else 0,
        )

    @property
    def described(self) -> dict[str, Any]:
        """The sizes as a trace keeps them, from which the shape follows again."""
        kept = asdict(self)
        if not self.token_classes:
            del kept["token_classes"]
        return kept


BERT_BASE = EncoderShape(layers=12, hidden=768, intermediate=3072, heads=12)  # the paper's encoder


def paper_operations(shape: EncoderShape, first: bool = False) -> list[Operation]:
    """The operations of a Transformer layer and a classifier, as the paper's unit prices them: table 1 for BERT.

    first: whether it is the first layer, to which what comes before it is added; all others are alike.

    Of the encoder's those that are linear: in BERT, four square projections and two feed-forward matrices. The
    classifier has four square projections too; its second fully-connected layer sees [CLS] alone, as in the authors'
    code: that is what gives 21,785,247,744 (table 1 prices it for all tokens). The output layer 128→N is not counted,
    so the count does not depend on the task. A linear classifier of tokens is nothing but an output layer, and counts.
    """
    h, c = shape.hidden, shape.classifier
    linear = [operation for operation in FAMILIES[shape.family].operations(shape, first) if operation.linear]
    if shape.token_classes:
        return [*linear, _of_tokens(shape)]
    return [
        *linear,
        Operation("Classifier", f"Fully-connect ({h}->{c})", per_token=h * c),
        Operation("Classifier", f"Self-attention ({c}->{c})", per_token=4 * c * c),
        Operation("Classifier", f"Fully-connect ({c}->{c})", once=c * c),
    ]


def true_operations(shape: EncoderShape, classes: int, first: bool = False) -> list[Operation]:
    """The operations that a Transformer layer and a classifier of this suite execute for one sample.

    first: whether it is the first layer, to which what comes before it is added; all others are alike.

    The classifier is fastbert_core.heads.Classifier: one query, its key and value projections folded.
    """
    _in_range("classes", classes)
    if shape.token_classes:
        return [*FAMILIES[shape.family].operations(shape, first), _of_tokens(shape)]
    h, c, heads = shape.hidden, shape.classifier, shape.classifier_heads
    return [
        *FAMILIES[shape.family].operations(shape, first),
        Operation("Classifier", f"Fully-connect ({h}->{c})", per_token=h * c),
        Operation("Classifier", "Query of [CLS]", once=c * c),
        Operation("Classifier", "Key projection, folded", once=c * c),
        Operation("Classifier", "Scores", per_token=heads * c),
        Operation("Classifier", "Weighted sum", per_token=heads * c),
        Operation("Classifier", "Value projection, folded", once=c * c),
        Operation("Classifier", f"Attention output ({c}->{c})", once=c * c),
        Operation("Classifier", f"Fully-connect ({c}->{c})", once=c * c),
        Operation("Classifier", f"Fully-connect ({c}->{classes})", once=c * classes),
    ]


def _of_tokens(shape: EncoderShape) -> Operation:
    """The linear classifier of every token, fastbert_core.heads.TokenClassifier; its output layer is all of it."""
    h, c = shape.hidden, shape.token_classes
    return Operation("Classifier", f"Fully-connect ({h}->{c})", per_token=h * c)


def paper_flops(shape: EncoderShape, exit_layer: int | np.ndarray, tokens: int = PAPER_TOKENS) -> int | np.ndarray:
    """FLOPs in the paper's unit of a FastBERT leaving at `exit_layer`: each layer on the way with its classifier."""
    return FLOPS_PER_MAC * _macs(partial(paper_operations, shape), shape, "exit layer", exit_layer, tokens)


def dense_flops(
    shape: EncoderShape, layers: int | np.ndarray | None = None, tokens: int = PAPER_TOKENS
) -> int | np.ndarray:
    """FLOPs in the paper's unit of a BERT or DistilBERT of `layers` layers (default: all) and one classifier."""
    layers = shape.layers if layers is None else layers
    return FLOPS_PER_MAC * _macs(partial(paper_operations, shape), shape, "layers", layers, tokens, dense=True)


def true_macs(
    shape: EncoderShape, exit_layer: int | np.ndarray, tokens: int | np.ndarray, classes: int
) -> int | np.ndarray:
    """Multiply-accumulates executed by samples of `tokens` real tokens that leave at `exit_layer`.

    exit_layer, tokens: integers, or integer arrays [S]; int64 [S] if either is an array, else an int.
    The closed form is c + a·n + b·n², with c, a and b the sums over `true_operations` of all layers on the way.
    """
    operations = partial(true_operations, shape, classes)
    return _macs(operations, shape, "exit layer", exit_layer, tokens)


def dense_true_macs(shape: EncoderShape, tokens: int | np.ndarray, classes: int) -> int | np.ndarray:
    """Multiply-accumulates executed by a dense model, without students: all layers and the teacher.

    tokens: an integer, or an integer array [S]; the result is an int or int64 [S].
    """
    return _macs(partial(true_operations, shape, classes), shape, "layers", shape.layers, tokens, dense=True)


def _macs(
    operations: Callable[..., list[Operation]],
    shape: EncoderShape,
    name: str,
    last: int | np.ndarray,
    tokens: int | np.ndarray,
    dense: bool = False,
) -> int | np.ndarray:
    """Multiply-accumulates of layers 1 to `last`, which messages call `name`, by the `operations` of each.

    Each has its classifier; or, in a `dense` model, the last one alone.
    """
    last, tokens = _in_range(name, last, shape.layers), _in_range("tokens", tokens, shape.max_tokens)
    (first, classifier), (other, _) = (_macs_of(operations(first=first), tokens) for first in (True, False))
    return first + (last - 1) * other + (1 if dense else last) * classifier


def _macs_of(operations: list[Operation], tokens: int | np.ndarray) -> tuple[int | np.ndarray, int | np.ndarray]:
    """Multiply-accumulates of a Transformer layer, with what comes before it, and of a classifier."""
    classifier = sum(operation.macs(tokens) for operation in operations if operation.block == "Classifier")
    return sum(operation.macs(tokens) for operation in operations) - classifier, classifier


def _in_range(name: str, value: int | np.ndarray, high: int | None = None) -> int | np.ndarray:
    """`value` as an int or an int64 array, since the int32 that traces keep would overflow.

    Raises InputError unless it is an integer, or an array of integers, from 1 to `high`.
    """
    expected = "an integer of at least 1" if high is None else f"an integer from 1 to {high}"
    values = np.asarray(value)
    if values.dtype.kind not in "iu" or not values.size:
        raise InputError(f"{name}: found {value!r}, expected {expected}")
    for extreme in (values.min(), values.max()):
        if extreme < 1 or (high is not None and extreme > high):
            raise InputError(f"{name}: found {extreme}, expected {expected}")
    return values.astype(np.int64) if values.ndim else int(values)
