"""FLOPs and MACs that arithmetic fixes, as fastbert_core.flops counts them today."""

from decimal import Decimal

from fastbert_core.flops import (
    BERT_BASE,
    FLOPS_PER_MAC,
    PAPER_TOKENS,
    EncoderShape,
    Operation,
    dense_flops,
    paper_flops,
    paper_operations,
    true_operations,
)
from reproductions.gate.expectations import Numbers

NARROW = EncoderShape(layers=12, hidden=384, intermediate=1536, heads=12)


def flops() -> Numbers:
    """Every FLOPs golden by its key among the expectations; counts are integers, speedups rounded to six decimals."""
    classifier = _block(paper_operations(BERT_BASE), "Classifier")
    encoder = _block(true_operations(BERT_BASE, 2), "Transformer")
    counts = {
        "12x768, one Transformer layer: FLOPs": FLOPS_PER_MAC
        * _macs(_block(paper_operations(BERT_BASE), "Transformer")),
        "12x768, one classifier as table 1 prices it: FLOPs": FLOPS_PER_MAC * _macs(classifier, every_token=True),
        "12x768, one classifier as the code runs it: FLOPs": FLOPS_PER_MAC * _macs(classifier),
        "12x768, executed layer with its classifier: FLOPs": paper_flops(BERT_BASE, 1),
        "12x768, BERT, 12 layers + teacher: FLOPs": dense_flops(BERT_BASE),
        "12x768, BERT with an output layer of 2 classes: MACs": _with_output(2),
        "12x768, BERT with an output layer of 14 classes: MACs": _with_output(14),
        "12x768, FastBERT, speed=0: FLOPs": paper_flops(BERT_BASE, BERT_BASE.layers),
        "12x768, FastBERT, speed=0: speedup": _speedup(BERT_BASE, BERT_BASE.layers),
        "12x768, FastBERT, leaving at layer 1: speedup": _speedup(BERT_BASE, 1),
        "12x768, encoder alone, 128 real tokens: true MACs": BERT_BASE.layers * _macs(encoder),
        "12x384, BERT, 12 layers + teacher: FLOPs": dense_flops(NARROW),
        "12x384, executed layer with its classifier: FLOPs": paper_flops(NARROW, 1),
        "12x384, FastBERT, leaving at layer 1: speedup": _speedup(NARROW, 1),
    }
    return {("exact", "", "", metric): Decimal(str(count)) for metric, count in counts.items()}


def _block(operations: list[Operation], block: str) -> list[Operation]:
    return [operation for operation in operations if operation.block == block]


def _macs(operations: list[Operation], every_token: bool = False) -> int:
    """Multiply-accumulates at 128 tokens; `every_token` also runs on all of them what [CLS] alone needs."""
    once = (PAPER_TOKENS - 1) * sum(operation.once for operation in operations) if every_token else 0
    return once + sum(operation.macs(PAPER_TOKENS) for operation in operations)


def _with_output(classes: int) -> int:
    output = true_operations(BERT_BASE, classes)[-1]
    return dense_flops(BERT_BASE) // FLOPS_PER_MAC + output.macs(PAPER_TOKENS)


def _speedup(shape: EncoderShape, exit_layer: int) -> float:
    return round(dense_flops(shape) / paper_flops(shape, exit_layer), 6)
