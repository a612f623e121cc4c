"""The analytic count against fvcore and FlopCounterMode, which watch real modules run. Equal to the integer."""

import itertools
import math

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode

from fastbert_core.adaptive import Leaving, one_by_one
from fastbert_core.exit_rules import RULES, exit_layers
from fastbert_core.flops import BERT_BASE, EncoderShape, dense_flops, paper_flops, true_macs
from reproductions.witnesses import (
    Executed,
    by_fvcore,
    count_torch,
    fastbert,
    linear_flops,
    with_paper_classifiers,
)
from tests.core.small import PAD, make_model, trace_of, varied

ODD = EncoderShape(layers=5, hidden=60, intermediate=100, heads=5, classifier=24, classifier_heads=3, max_tokens=70)
CASES = [  # BERT-base, eager, 128 tokens: table 1, in tests/reproductions/test_flops_command.py
    (BERT_BASE, 37, 14, "sdpa"),
    (ODD, 1, 2, "eager"),
    (ODD, 7, 14, "sdpa"),
    (ODD, 70, 2, "eager"),
]
each_case = pytest.mark.parametrize(("shape", "tokens", "classes", "attention"), CASES)


def ids(tokens: int) -> torch.Tensor:
    return torch.zeros(1, tokens, dtype=torch.long, device="meta")


def executed(counts: dict, shape: EncoderShape) -> list[int]:
    """What each exit layer costs, from the counts by module of one run through all layers: the first k layers and
    classifiers are what a sample executes that leaves at layer k."""
    parts = [[f"model.backbone.encoder.layer.{i}", f"model.classifiers.{i}"] for i in range(shape.layers)]
    return list(itertools.accumulate(sum(sum(counts[name].values()) for name in pair) for pair in parts))


def sdpa_macs(inputs: list, outputs: list) -> int:
    """Scores and weighted sum of attention over queries [b, h, l, d] and keys [b, h, s, d], which fvcore leaves out."""
    query, key = (value.type().sizes() for value in inputs[:2])
    return 2 * math.prod(query) * key[-2]


@each_case
def test_both_count_the_true_macs_at_every_exit(shape, tokens, classes, attention):
    module = Executed(fastbert(shape, classes, attention), range(1, shape.layers + 1))
    macs = [true_macs(shape, layer, tokens, classes) for layer in range(1, shape.layers + 1)]

    analysis = by_fvcore(module, ids(tokens)).set_op_handle("aten::scaled_dot_product_attention", sdpa_macs)
    fvcore = analysis.by_module_and_operator()
    # fvcore's own convention: LayerNorm is 5 for each element; a layer has two, the embeddings one.
    assert fvcore[""]["layer_norm"] == 5 * tokens * shape.hidden * (2 * shape.layers + 1)
    for counts in fvcore.values():
        counts.pop("layer_norm", None)
    assert executed(fvcore, shape) == macs
    assert sum(fvcore[""].values()) == macs[-1]

    # torch's: 2 for each multiply-accumulate. On the device "meta" it sees through SDPA, unlike on a CPU.
    by_torch = count_torch(module, ids(tokens))
    assert executed(by_torch, shape) == [2 * count for count in macs]
    assert sum(by_torch[""].values()) == 2 * macs[-1]


@each_case
def test_linear_layers_of_the_papers_model_are_the_papers_unit(shape, tokens, classes, attention):
    module = Executed(with_paper_classifiers(fastbert(shape, classes, attention)), range(1, shape.layers + 1))
    everything = linear_flops(module, ids(tokens))
    output = [everything.pop(f"model.classifiers.{index}.output") for index in range(shape.layers)]
    assert sum(output).tolist() == 2 * [2 * shape.layers * shape.classifier * classes]  # 128->N is not in the unit
    total = np.zeros(2, dtype=np.int64)
    for index in range(shape.layers):
        parts = (f"model.backbone.encoder.layer.{index}.", f"model.classifiers.{index}.")
        total += sum(pair for name, pair in everything.items() if name.startswith(parts))
        assert total.tolist() == 2 * [paper_flops(shape, index + 1, tokens)]
    students = tuple(f"model.classifiers.{index}." for index in range(shape.layers - 1))
    dense = total - sum(pair for name, pair in everything.items() if name.startswith(students))
    assert dense.tolist() == 2 * [dense_flops(shape, tokens=tokens)]


def test_adaptive_inference_at_batch_1_executes_the_true_macs():
    model, encoded = make_model(layers=6, attn_implementation="eager").eval(), varied(30)
    trace, shape = trace_of(model, encoded, batch_size=1), EncoderShape.from_config(model.config)
    speed = float(np.quantile(trace.uncertainties, 0.2))
    with FlopCounterMode(display=False) as counter:
        found = one_by_one(model, encoded, PAD, Leaving(RULES["entropy"], speed, shape.layers))
    assert len(set(found.exit_layers)) > 4
    assert found.exit_layers.tolist() == exit_layers(trace.uncertainties, speed).tolist()
    assert counter.get_total_flops() == 2 * true_macs(shape, found.exit_layers, encoded.lengths, 3).sum()
