"""Table 1: the FLOPs of each operation, reported and counted three ways."""

from collections.abc import Iterator, Sequence

import numpy as np
import pandas as pd
import torch
from torch import Tensor

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
)
from reproductions import reported
from reproductions.columns import TABLES
from reproductions.witnesses import (
    Executed,
    Pair,
    count_fvcore,
    count_torch,
    fastbert,
    linear_flops,
    with_paper_classifiers,
)

CLASSES = 2
PAPER_UNIT, TRUE_MACS, AS_COUNTED = "paper FLOPs", "true MACs", "as counted"
DENSE, LEAVING, EXITS = "BERT, 12 layers + teacher", "FastBERT, leaving at layer {}", (1, 2, 6, 12)


def table() -> pd.DataFrame:
    """Table 1 and the totals that follow from it, for 12×768 at 128 tokens and 2 classes; columns as in columns.csv.

    `analytic`, `fvcore` and `torch` are integers in the row's unit:
    "paper FLOPs": 2 for each multiply-accumulate of a linear layer; fvcore's counts are doubled.
    "true MACs": all that this suite executes; torch's counts are halved, fvcore's LayerNorm is left out.
    "as counted": each witness's raw total in its own convention, which no analytic count answers to.
    `reported_mflops` is the paper's figure in millions, empty where it gives none.
    """
    rows = [(PAPER_UNIT, *row) for row in (*_layer_rows(), *_classifier_rows(), *_model_rows())]
    rows += [(TRUE_MACS, *row) for row in _true_rows()]
    rows += [(AS_COUNTED, *row) for row in _raw_rows()]
    printed = _reported()
    records = [
        (unit, block, operation, printed.get((block, operation)) if unit == PAPER_UNIT else None, analytic, *pair, note)
        for unit, block, operation, analytic, pair, note in rows
    ]
    integers = dict.fromkeys(("analytic", "fvcore", "torch"), "Int64")
    return pd.DataFrame(records, columns=list(TABLES["table1"])).astype(integers)


def text(rows: pd.DataFrame) -> str:
    """The table for a terminal: a paragraph for each unit, notes below their rows."""
    lines = []
    for unit, part in rows.groupby("unit", sort=False):
        lines.append(f"{unit:<46}{'reported M':>12}{'analytic':>16}{'fvcore':>16}{'torch':>16}")
        for row in part.itertuples():
            figures = [row.reported_mflops, row.analytic, row.fvcore, row.torch]
            cells = ["" if pd.isna(figure) else str(figure) for figure in figures]
            lines.append(
                f"{row.block + ': ' + row.operation:<46}{cells[0]:>12}" + "".join(f"{c:>16}" for c in cells[1:])
            )
            if row.note:
                lines.append(f"    {row.note}")
        lines.append("")
    return "\n".join(lines)


def _layer_rows() -> Iterator[tuple]:
    """One Transformer layer, in the paper's unit."""
    attention, feedforward, *_ = paper_operations(BERT_BASE)
    layer = linear_flops(fastbert(BERT_BASE, CLASSES).backbone.encoder.layer[0], _states(BERT_BASE.hidden))
    total = _flops(attention) + _flops(feedforward)
    parts = reported.load("table1").query("block == 'Transformer' and operation != 'total'")["mflops"].sum()
    note = f"the paper's own parts add up to {parts:.1f}; by arithmetic the layer takes {total / 1e6:.1f}"
    yield "Transformer", attention.name, _flops(attention), _sum(layer, "attention"), ""
    yield "Transformer", feedforward.name, _flops(feedforward), _sum(layer, "intermediate", "output"), ""
    yield "Transformer", "total", total, sum(layer.values()), note


def _classifier_rows() -> Iterator[tuple]:
    """One classifier, in the paper's unit: as table 1 prices it, and as the authors' code runs it."""
    *_, reduce, attention, dense = paper_operations(BERT_BASE)
    width = BERT_BASE.classifier
    classifier = with_paper_classifiers(fastbert(BERT_BASE, CLASSES)).classifiers[0]
    parts = linear_flops(classifier, _states(BERT_BASE.hidden))
    for_all = linear_flops(classifier.dense, _states(width))[""]
    output = FLOPS_PER_MAC * width * CLASSES
    shared, every_token = _flops(reduce) + _flops(attention), FLOPS_PER_MAC * PAPER_TOKENS * dense.once
    self_attention = _sum(parts, "query", "key", "value", "mix")
    counted = parts["reduce"] + self_attention
    yield "Classifier", reduce.name, _flops(reduce), parts["reduce"], ""
    yield "Classifier", attention.name, _flops(attention), self_attention, ""
    yield "Classifier", dense.name, every_token, for_all, "for all tokens, as table 1 prices it"
    note = "[CLS] alone, as the authors' code runs it and all models below are priced"
    yield "Classifier", f"{dense.name}, [CLS]", _flops(dense), parts["dense"], note
    note = f"2·{width}·N, here N = {CLASSES}; in no total, so that FLOPs do not depend on the task"
    yield "Classifier", f"Fully-connect ({width}->N)", output, parts["output"], note
    yield "Classifier", "total", shared + every_token, counted + for_all, "as table 1 prices it"
    yield "Classifier", "total, [CLS]", shared + _flops(dense), counted + parts["dense"], ""


def _model_rows() -> Iterator[tuple]:
    """Whole models in the paper's unit, with the paper's classifiers."""
    model, dense = with_paper_classifiers(fastbert(BERT_BASE, CLASSES)), dense_flops(BERT_BASE)

    def linear(classified: Sequence[int]) -> Pair:
        parts = linear_flops(Executed(model, classified), _ids())
        return sum(pair for name, pair in parts.items() if not name.endswith(".output"))  # 128->N is not counted

    yield "Model", DENSE, dense, linear([BERT_BASE.layers]), "the authors' README: 21785247744"
    for layer in EXITS:
        flops = paper_flops(BERT_BASE, layer)
        yield "Model", LEAVING.format(layer), flops, linear(range(1, layer + 1)), f"{dense / flops:.3f}x"


def _true_rows() -> Iterator[tuple]:
    """Whole models as this suite executes them for 128 real tokens."""
    model, tokens = fastbert(BERT_BASE, CLASSES), PAPER_TOKENS

    def macs(classified: Sequence[int]) -> Pair:
        module = Executed(model, classified)
        fvcore, by_torch = count_fvcore(module, _ids())[""], count_torch(module, _ids())[""]
        return np.array([sum(fvcore.values()) - fvcore["layer_norm"], sum(by_torch.values()) // FLOPS_PER_MAC])

    dense = dense_true_macs(BERT_BASE, tokens, CLASSES)
    yield "Model", DENSE, dense, macs([BERT_BASE.layers]), "with attention products and output layer"
    for layer in EXITS:
        count = true_macs(BERT_BASE, layer, tokens, CLASSES)
        yield "Model", LEAVING.format(layer), count, macs(range(1, layer + 1)), f"{dense / count:.3f}x"


def _raw_rows() -> Iterator[tuple]:
    """Each witness's own number for the bare encoder: what it counts, and what it does not see."""
    for attention, device, blindness in (
        ("eager", "meta", "fvcore takes LayerNorm as 5 an element, torch as nothing"),
        ("sdpa", "cpu", "on a CPU neither sees scaled_dot_product_attention"),
    ):
        encoder = fastbert(BERT_BASE, CLASSES, attention, device).backbone
        counts = [count(encoder, _ids(device))[""] for count in (count_fvcore, count_torch)]
        parts = "; ".join(" + ".join(f"{name} {n}" for name, n in sorted(count.items())) for count in counts)
        totals = np.array([sum(count.values()) for count in counts])
        yield "Encoder", f"BERT alone, {attention} attention", None, totals, f"{blindness}: {parts}"


def _reported() -> dict[tuple[str, str], float]:
    """The paper's figures in millions, by block and operation: table 1, and the whole models of tables 2 and 3."""
    table1 = reported.load("table1").set_index(["block", "operation"])["mflops"].to_dict()
    fixed = reported.load("table3").drop_duplicates("setting").set_index("setting")["mflops"]
    models = {("Model", LEAVING.format(layer)): fixed[f"layer={layer}"] for layer in (2, 6)}
    dense = reported.load("table2").query("model == 'BERT'")["mflops"].iloc[0]
    return table1 | models | {("Model", DENSE): dense}


def _sum(layers: dict[str, Pair], *parts: str) -> Pair:
    """The sum over the linear layers that are, or belong to, one of `parts`."""
    return sum(pair for name, pair in layers.items() if f"{name}.".startswith(tuple(f"{part}." for part in parts)))


def _flops(operation: Operation) -> int:
    return FLOPS_PER_MAC * operation.macs(PAPER_TOKENS)


def _ids(device: str = "meta") -> Tensor:
    return torch.zeros(1, PAPER_TOKENS, dtype=torch.long, device=device)


def _states(width: int) -> Tensor:
    return torch.zeros(1, PAPER_TOKENS, width, device="meta")
