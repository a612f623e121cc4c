"""The `flops` command: table 1 and the paper's misprints, or the count of one configuration."""

from collections import Counter
from collections.abc import Iterable
from dataclasses import replace
from functools import partial
from pathlib import Path

from fastbert_core.flops import (
    BERT_BASE,
    FLOPS_PER_MAC,
    PAPER_TOKENS,
    Operation,
    dense_flops,
    dense_true_macs,
    paper_flops,
    paper_operations,
    true_macs,
    true_operations,
)
from reproductions import reported
from reproductions.tables import write_table


def print_paper() -> None:
    """Count table 1, and print it and the paper's misprints."""
    from reproductions import table1  # whose witnesses are models: other counts need not wait for their import

    print(f"Table 1: BERT-base, {PAPER_TOKENS} tokens, {table1.CLASSES} classes\n\n{table1.text(table1.table())}")
    print("What the paper cannot mean as printed:\n")
    for row in reported.misprints().itertuples():
        print(", ".join(filter(None, (row.source, row.model, row.setting, row.task))) + f"\n    {row.words}")


def write_paper(results_dir: Path) -> Path:
    """Count table 1 and write it: `results_dir`/paper/table1.csv; returns the path."""
    from reproductions import table1  # as above

    return write_table(results_dir / "paper", "table1", table1.table())


def print_count(
    backbone: Path | None = None, tokens: int = PAPER_TOKENS, classes: int = 2, exit_layer: int | None = None
) -> None:
    """Print the count of one configuration by operation, in both units.

    backbone: a Hugging Face folder (default: BERT-base). exit_layer: default, the last one.
    Raises InputError for a folder without an encoder's configuration, and for counts that are out of range.
    """
    if backbone is None:
        shape = BERT_BASE
    else:
        from fastbert_core.encoder_folder import read_shape  # as above

        shape = read_shape(backbone)
    exit_layer = shape.layers if exit_layer is None else exit_layer
    paper, true = paper_flops(shape, exit_layer, tokens), true_macs(shape, exit_layer, tokens, classes)
    dense, dense_true = dense_flops(shape, tokens=tokens), dense_true_macs(shape, tokens, classes)
    print(f"{shape}\n{tokens} tokens, {classes} classes, leaving at layer {exit_layer} of {shape.layers}\n")
    for title, operations, factor, total, whole in (
        ("paper's FLOPs", partial(paper_operations, shape), FLOPS_PER_MAC, paper, dense),
        ("true MACs", partial(true_operations, shape, classes), 1, true, dense_true),
    ):
        print(f"{title:<58}{'once':>16}{f'× {exit_layer}':>18}")
        once, again = (_by_name(operations(first=first), factor, tokens) for first in (True, False))
        for name, count in once.items():
            print(f"{name:<58}{count:>16}{count + (exit_layer - 1) * again[name]:>18}")
        print(f"{'FastBERT':<58}{'':>16}{total:>18}")
        print(f"{'dense model, all layers + teacher':<58}{'':>16}{whole:>18}  speedup {whole / total:.3f}\n")


def fixed_numbers() -> dict[str, float]:
    """FLOPs and MACs that arithmetic fixes, as they are counted today, each by its name; speedups to six decimals."""
    numbers = {}
    for name, shape in (("12x768", BERT_BASE), ("12x384", replace(BERT_BASE, hidden=384, intermediate=1536))):
        paper, true, dense = paper_operations(shape), partial(true_operations, shape), dense_flops(shape)
        everywhere = [o._replace(once=0, per_token=o.once + o.per_token) for o in paper]
        for what, number in (
            ("one Transformer layer: FLOPs", FLOPS_PER_MAC * _macs(paper, "Transformer")),
            ("one classifier as table 1 prices it: FLOPs", FLOPS_PER_MAC * _macs(everywhere, "Classifier")),
            ("one classifier as the code runs it: FLOPs", FLOPS_PER_MAC * _macs(paper, "Classifier")),
            ("executed layer with its classifier: FLOPs", paper_flops(shape, 1)),
            ("BERT, 12 layers + teacher: FLOPs", dense),
            ("BERT with an output layer of 2 classes: MACs", dense // FLOPS_PER_MAC + true(2)[-1].macs(PAPER_TOKENS)),
            ("BERT with an output layer of 14 classes: MACs", dense // FLOPS_PER_MAC + true(14)[-1].macs(PAPER_TOKENS)),
            ("FastBERT, speed=0: FLOPs", paper_flops(shape, shape.layers)),
            ("FastBERT, speed=0: speedup", round(dense / paper_flops(shape, shape.layers), 6)),
            ("FastBERT, leaving at layer 1: speedup", round(dense / paper_flops(shape, 1), 6)),
            ("encoder alone, 128 real tokens: true MACs", shape.layers * _macs(true(2), "Transformer")),
        ):
            numbers[f"{name}, {what}"] = number
    return numbers


def _by_name(operations: Iterable[Operation], factor: int, tokens: int) -> Counter:
    counts = Counter()
    for operation in operations:
        counts[f"{operation.block}: {operation.name}"] += factor * operation.macs(tokens)
    return counts


def _macs(operations: Iterable[Operation], block: str) -> int:
    return sum(operation.macs(PAPER_TOKENS) for operation in operations if operation.block == block)
