"""The `flops` command: table 1 and the paper's misprints, or the count of one configuration."""

from pathlib import Path

from fastbert_core.backbones import read_shape
from fastbert_core.files import atomic_write
from fastbert_core.flops import (
    BERT_BASE,
    FLOPS_PER_MAC,
    PAPER_TOKENS,
    dense_flops,
    dense_true_macs,
    paper_flops,
    paper_operations,
    true_macs,
    true_operations,
)
from reproductions import reported, table1


def print_paper() -> None:
    """Count table 1, and print it and the paper's misprints."""
    counted = table1.table()
    print(f"Table 1: BERT-base, {PAPER_TOKENS} tokens, {table1.CLASSES} classes\n\n{table1.text(counted)}")
    print("What the paper cannot mean as printed:\n")
    for row in reported.misprints().itertuples():
        print(", ".join(filter(None, (row.source, row.model, row.setting, row.task))) + f"\n    {row.words}")


def write_paper(results_dir: Path) -> list[Path]:
    """Count table 1 and write it, `results_dir`/paper/table1.csv; returns the paths."""
    path = results_dir / "paper" / "table1.csv"
    with atomic_write(path) as file:
        table1.table().to_csv(file, index=False, lineterminator="\n")
    return [path]


def print_count(
    backbone: Path | None = None, tokens: int = PAPER_TOKENS, classes: int = 2, exit_layer: int | None = None
) -> int:
    """Print the count of one configuration by operation, in both units. Returns the exit code.

    backbone: a Hugging Face folder (default: BERT-base). exit_layer: default, the last one.
    Raises InputError for a folder without an encoder's configuration, and for counts that are out of range.
    """
    shape = BERT_BASE if backbone is None else read_shape(backbone)
    exit_layer = shape.layers if exit_layer is None else exit_layer
    paper, true = paper_flops(shape, exit_layer, tokens), true_macs(shape, exit_layer, tokens, classes)
    dense, dense_true = dense_flops(shape, tokens=tokens), dense_true_macs(shape, tokens, classes)
    print(f"{shape}\n{tokens} tokens, {classes} classes, leaving at layer {exit_layer} of {shape.layers}\n")
    for title, operations, factor, total, whole in (
        ("paper's FLOPs", paper_operations(shape), FLOPS_PER_MAC, paper, dense),
        ("true MACs", true_operations(shape, classes), 1, true, dense_true),
    ):
        print(f"{title:<58}{'once':>16}{f'× {exit_layer}':>18}")
        for operation in operations:
            count = factor * operation.macs(tokens)
            print(f"{operation.block + ': ' + operation.name:<58}{count:>16}{exit_layer * count:>18}")
        print(f"{'FastBERT':<58}{'':>16}{total:>18}")
        print(f"{'dense model, all layers + teacher':<58}{'':>16}{whole:>18}  speedup {whole / total:.3f}\n")
    return 0
