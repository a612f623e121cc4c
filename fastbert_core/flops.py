"""FLOPs, exact to the integer, in two units that are never mixed up.

The paper's unit (`paper_flops`, `dense_flops`): 2 FLOPs for each multiply-accumulate of the linear layers alone,
at 128 padded tokens, for the classifier that the paper describes. It prices a model as the paper does, whatever
the text and whatever code runs it. Source: table 1; the authors' README gives 21,785,247,744 for BERT.

True MACs (`true_macs`, `dense_true_macs`): multiply-accumulates that this suite executes for n real tokens, the
attention products, the output layers and our cheaper classifier included.

Neither counts embedding look-ups, biases, LayerNorm, softmax, tanh or GELU. Layers count from 1: a sample that leaves
at exit layer k has run k Transformer layers and k classifiers, the last of which may be the teacher.
"""

from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from fastbert_core.errors import InputError

PAPER_TOKENS = 128
FLOPS_PER_MAC = 2
LARGEST = 2**16  # of an encoder's sizes: what is larger is no encoder, and its counts need not fit into 64 bits

# Encoders whose layer is BERT's (four square projections, two feed-forward matrices), and how each names its sizes.
_BERT_NAMES = ("num_hidden_layers", "hidden_size", "intermediate_size", "num_attention_heads")
_ENCODERS = {
    "bert": _BERT_NAMES,
    "roberta": _BERT_NAMES,
    "xlm-roberta": _BERT_NAMES,
    "camembert": _BERT_NAMES,
    "distilbert": ("n_layers", "dim", "hidden_dim", "n_heads"),
}
_POSITIONS_AFTER_PADDING = ("roberta", "xlm-roberta", "camembert")


@dataclass(frozen=True)
class EncoderShape:
    """The sizes that FLOPs follow from: the encoder's, its classifiers' and the longest text it reads.

    `dataclasses.asdict` and `EncoderShape(**d)` are inverse; traces keep the dictionary as metadata["encoder"].
    Raises InputError for sizes that are no integers from 1 to LARGEST, or widths that the heads do not divide.
    """

    layers: int
    hidden: int
    intermediate: int
    heads: int
    classifier: int = 128
    classifier_heads: int = 2
    max_tokens: int = 512

    def __post_init__(self) -> None:
        for name, size in vars(self).items():
            if isinstance(size, bool) or not isinstance(size, int) or not 1 <= size <= LARGEST:
                raise InputError(f"encoder {name}: found {size!r}, expected an integer from 1 to {LARGEST}")
        for width, heads in (("hidden", "heads"), ("classifier", "classifier_heads")):
            size, parts = getattr(self, width), getattr(self, heads)
            if size % parts:
                raise InputError(f"encoder {heads}: found {parts}, expected a divisor of {width} {size}")

    @classmethod
    def from_config(cls, config: Any) -> "EncoderShape":
        """The shape of a transformers configuration, or of a FastBertConfig, which carries one and its classifiers'.

        Raises InputError unless it describes an encoder with BERT's layers.
        """
        encoder = getattr(config, "backbone_config", config)
        kind = getattr(encoder, "model_type", "") or type(encoder).__name__
        if kind not in _ENCODERS:
            raise InputError(f"model_type: found {kind}, expected a Transformer encoder of {', '.join(_ENCODERS)}")
        if getattr(encoder, "is_decoder", False) or getattr(encoder, "add_cross_attention", False):
            raise InputError(f"model_type: found a {kind} decoder, expected a Transformer encoder")
        positions = encoder.max_position_embeddings
        if kind in _POSITIONS_AFTER_PADDING:  # RoBERTa's positions start after the padding token's
            positions -= encoder.pad_token_id + 1
        return cls(
            *(getattr(encoder, name) for name in _ENCODERS[kind]),
            classifier=getattr(config, "classifier_width", 128),
            classifier_heads=getattr(config, "classifier_heads", 2),
            max_tokens=positions,
        )


BERT_BASE = EncoderShape(layers=12, hidden=768, intermediate=3072, heads=12)  # the paper's encoder


class Operation(NamedTuple):
    """One operation of a layer; its multiply-accumulates for n tokens are once + per_token · n + per_pair · n²."""

    block: str
    name: str
    once: int = 0
    per_token: int = 0
    per_pair: int = 0

    def macs(self, tokens: int | np.ndarray) -> int | np.ndarray:
        """Multiply-accumulates of one execution on `tokens` tokens (an integer, or an integer array of any shape)."""
        return self.once + self.per_token * tokens + self.per_pair * tokens * tokens


def paper_operations(shape: EncoderShape) -> list[Operation]:
    """The operations of table 1 for one Transformer layer and one classifier, as the paper's unit prices them.

    Self-attention has four square projections, in the encoder and in the classifier. The second fully-connected
    layer of the classifier sees [CLS] alone, as in the authors' code: that is what gives 21,785,247,744 (table 1
    prices it for all tokens). The output layer 128→N is not counted, so the count does not depend on the task.
    """
    h, i, c = shape.hidden, shape.intermediate, shape.classifier
    return [
        Operation("Transformer", f"Self-attention ({h}->{h})", per_token=4 * h * h),
        Operation("Transformer", f"Feedforward ({h}->{i}->{h})", per_token=2 * h * i),
        Operation("Classifier", f"Fully-connect ({h}->{c})", per_token=h * c),
        Operation("Classifier", f"Self-attention ({c}->{c})", per_token=4 * c * c),
        Operation("Classifier", f"Fully-connect ({c}->{c})", once=c * c),
    ]


def true_operations(shape: EncoderShape, classes: int) -> list[Operation]:
    """The operations that one Transformer layer and one classifier of this suite execute for one sample.

    The encoder's attention products take 2 · hidden for each pair of tokens, whatever the heads. The classifier is
    fastbert_core.heads.Classifier: one query, its key and value projections folded.
    """
    _check_range("classes", classes, 1)
    h, i, c, heads = shape.hidden, shape.intermediate, shape.classifier, shape.classifier_heads
    return [
        Operation("Transformer", f"Attention projections ({h}->{h}, four)", per_token=4 * h * h),
        Operation("Transformer", "Attention products", per_pair=2 * h),
        Operation("Transformer", f"Feedforward ({h}->{i}->{h})", per_token=2 * h * i),
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


def paper_flops(shape: EncoderShape, exit_layer: int, tokens: int = PAPER_TOKENS) -> int:
    """FLOPs in the paper's unit of a FastBERT leaving at `exit_layer`: each layer on the way with its classifier."""
    exit_layer, tokens = _integers(exit_layer), _integers(tokens)
    _check_range("exit layer", exit_layer, 1, shape.layers)
    _check_range("tokens", tokens, 1, shape.max_tokens)
    return FLOPS_PER_MAC * exit_layer * _macs(paper_operations(shape), tokens)


def paper_flops_by_exit(shape: EncoderShape, tokens: int = PAPER_TOKENS) -> np.ndarray:
    """`paper_flops` of exit layers 1 to L, int64 [layers]: a data set's FLOPs are its exit histogram @ this."""
    return np.array([paper_flops(shape, layer, tokens) for layer in range(1, shape.layers + 1)], dtype=np.int64)


def dense_flops(shape: EncoderShape, layers: int | None = None, tokens: int = PAPER_TOKENS) -> int:
    """FLOPs in the paper's unit of a BERT or DistilBERT of `layers` layers (default: all) and one classifier."""
    layers, tokens = shape.layers if layers is None else _integers(layers), _integers(tokens)
    _check_range("layers", layers, 1, shape.layers)
    _check_range("tokens", tokens, 1, shape.max_tokens)
    encoder, classifier = _blocks(paper_operations(shape))
    return FLOPS_PER_MAC * (layers * _macs(encoder, tokens) + _macs(classifier, tokens))


def true_macs(
    shape: EncoderShape, exit_layer: int | np.ndarray, tokens: int | np.ndarray, classes: int
) -> int | np.ndarray:
    """Multiply-accumulates executed by samples of `tokens` real tokens that leave at `exit_layer`.

    exit_layer, tokens: integers, or integer arrays [S]; int64 [S] if either is an array, else an int.
    The closed form is exit_layer · (c + a·n + b·n²), with c, a and b the sums over `true_operations`.
    """
    exit_layer, tokens = _integers(exit_layer), _integers(tokens)
    _check_range("exit layer", exit_layer, 1, shape.layers)
    _check_range("tokens", tokens, 1, shape.max_tokens)
    return exit_layer * _macs(true_operations(shape, classes), tokens)


def dense_true_macs(
    shape: EncoderShape, tokens: int | np.ndarray, classes: int, layers: int | None = None
) -> int | np.ndarray:
    """Multiply-accumulates executed by a dense model, without students: `layers` layers (default: all) and the teacher.

    tokens: an integer, or an integer array [S]; the result is an int or int64 [S].
    """
    layers, tokens = shape.layers if layers is None else _integers(layers), _integers(tokens)
    _check_range("layers", layers, 1, shape.layers)
    _check_range("tokens", tokens, 1, shape.max_tokens)
    encoder, classifier = _blocks(true_operations(shape, classes))
    return layers * _macs(encoder, tokens) + _macs(classifier, tokens)


def _macs(operations: list[Operation], tokens: int | np.ndarray) -> int | np.ndarray:
    return sum(operation.macs(tokens) for operation in operations)


def _blocks(operations: list[Operation]) -> tuple[list[Operation], list[Operation]]:
    """The operations of the Transformer layer and those of the classifier."""
    return tuple([o for o in operations if o.block == block] for block in ("Transformer", "Classifier"))


def _integers(value: int | np.ndarray) -> int | np.ndarray:
    """NumPy integers as int or int64 arrays: the int32 that traces keep would overflow."""
    if not isinstance(value, np.ndarray | np.generic) or value.dtype.kind not in "iu":
        return value
    return value.astype(np.int64) if value.ndim else int(value)


def _check_range(name: str, value: int | np.ndarray, low: int, high: int | None = None) -> None:
    """Raise InputError unless `value`, an integer or integer array, lies in low..high."""
    expected = f"an integer of at least {low}" if high is None else f"an integer from {low} to {high}"
    values = np.asarray(value)
    if values.dtype.kind not in "iu" or not values.size:
        raise InputError(f"{name}: found {value!r}, expected {expected}")
    for extreme in (values.min(), values.max()):
        if extreme < low or (high is not None and extreme > high):
            raise InputError(f"{name}: found {extreme}, expected {expected}")
