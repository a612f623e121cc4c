"""The analytic count: golden numbers, arrays, and bad input; operation by operation it is held by its witnesses."""

import dataclasses

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from transformers import BertConfig, DistilBertConfig, GPT2Config, RobertaConfig, T5Config

from fastbert_core.errors import InputError
from fastbert_core.flops import (
    BERT_BASE,
    EncoderShape,
    dense_flops,
    dense_true_macs,
    paper_flops,
    true_macs,
)
from fastbert_core.model import FastBertConfig

SMALL = EncoderShape(layers=12, hidden=384, intermediate=1536, heads=12)
ODD = EncoderShape(layers=5, hidden=60, intermediate=100, heads=5, classifier=24, classifier_heads=3, max_tokens=70)

SHAPES = (BERT_BASE, SMALL, ODD)


def test_paper_unit_of_whole_models():
    assert dense_flops(BERT_BASE) == 21_785_247_744
    assert dense_flops(BERT_BASE) // 2 + 128 * 2 == 10_892_624_128  # as MACs, with 2 classes
    assert dense_flops(BERT_BASE) // 2 + 128 * 14 == 10_892_625_664
    assert paper_flops(BERT_BASE, 1) == 1_853_915_136
    assert paper_flops(BERT_BASE, 12) == 22_246_981_632
    assert round(dense_flops(BERT_BASE) / paper_flops(BERT_BASE, 12), 3) == 0.979
    assert round(dense_flops(BERT_BASE) / paper_flops(BERT_BASE, 1), 3) == 11.751


@given(shape=st.sampled_from(SHAPES), data=st.data())
def test_arrays_count_as_their_elements(shape, data):
    samples = st.tuples(st.integers(1, shape.layers), st.integers(1, shape.max_tokens))
    drawn = data.draw(st.lists(samples, min_size=1, max_size=20))
    exits, tokens = np.array(drawn, dtype=np.int32).T  # int32, as traces keep tokens: must not overflow
    macs = true_macs(shape, exits, tokens, 2)
    assert macs.dtype == np.int64
    assert macs.tolist() == [true_macs(shape, layer, length, 2) for layer, length in drawn]
    assert true_macs(shape, exits[0], tokens[0], 2) == macs[0]
    dense = dense_true_macs(shape, tokens, 2)
    assert dense.tolist() == [dense_true_macs(shape, length, 2) for _, length in drawn]


@pytest.mark.parametrize("shape", SHAPES)
def test_every_exit_s_count_is_that_of_its_layer(shape):
    shape = dataclasses.replace(shape, max_tokens=128)
    counts = paper_flops(shape, np.arange(1, shape.layers + 1))
    assert counts.dtype == np.int64
    assert counts.tolist() == [paper_flops(shape, layer) for layer in range(1, shape.layers + 1)]


@pytest.mark.parametrize("tokens", [0, -1, 71, 1.5, True, None, np.array([3, 0]), np.array([70, 71]), np.array([])])
def test_bad_length(tokens):
    for count in (
        lambda: paper_flops(ODD, 1, tokens),
        lambda: dense_flops(ODD, tokens=tokens),
        lambda: true_macs(ODD, 1, tokens, 2),
        lambda: dense_true_macs(ODD, tokens, 2),
    ):
        with pytest.raises(InputError, match=r"^tokens: found .*, expected an integer from 1 to 70$"):
            count()


@pytest.mark.parametrize("layer", [0, -3, 6, 2.0, np.array([1, 6])])
def test_bad_exit_layer(layer):
    for count in (lambda: paper_flops(ODD, layer, 10), lambda: true_macs(ODD, layer, 10, 2)):
        with pytest.raises(InputError, match=r"^exit layer: found .*, expected an integer from 1 to 5$"):
            count()
    with pytest.raises(InputError, match=r"^layers: found .*, expected an integer from 1 to 5$"):
        dense_flops(ODD, layers=layer, tokens=10)


@pytest.mark.parametrize("classes", [0, -2, 2.0, "2"])
def test_bad_classes(classes):
    with pytest.raises(InputError, match=r"^classes: found .*, expected an integer of at least 1$"):
        true_macs(ODD, 1, 10, classes)


def test_length_above_the_model_counts_in_the_default_too():
    short = dataclasses.replace(ODD, max_tokens=64)
    with pytest.raises(InputError, match=r"tokens: found 128, expected an integer from 1 to 64"):
        dense_flops(short)


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"layers": 0}, "encoder layers: found 0, expected an integer from 1 to 65536"),
        ({"hidden": 60.0}, "encoder hidden: found 60.0, expected an integer from 1 to 65536"),
        ({"intermediate": 65537}, "encoder intermediate: found 65537, expected an integer from 1 to 65536"),
        ({"heads": 7}, "encoder heads: found 7, expected a divisor of hidden 60"),
        ({"classifier_heads": 5}, "encoder classifier_heads: found 5, expected a divisor of classifier 24"),
        ({"family": "albertt"}, "encoder family: found 'albertt', expected one of .*; did you mean 'albert'[?]"),
        ({"family": "albert"}, "encoder extra: found {}, expected the sizes that the costs of albert follow from"),
        ({"extra": {"embedding": -1}}, "encoder embedding: found -1, expected an integer from 0 to 65536"),
        ({"extra": 3}, "encoder: found family 'bert' and extra 3, expected a name and a table"),
    ],
)
def test_bad_shape(changes, message):
    with pytest.raises(InputError, match=f"^{message}$"):
        dataclasses.replace(ODD, **changes)


def test_a_trace_from_before_there_were_families_is_of_bert_s_layers():
    old = {"layers": 12, "hidden": 768, "intermediate": 3072, "heads": 12, "classifier": 128, "max_tokens": 512}
    assert EncoderShape(**old) == BERT_BASE


def test_shape_of_configurations():
    assert EncoderShape.from_config(BertConfig()) == BERT_BASE
    distilbert = dataclasses.replace(BERT_BASE, layers=6, family="distilbert")
    assert EncoderShape.from_config(DistilBertConfig()) == distilbert
    # RoBERTa keeps two positions for padding.
    roberta = dataclasses.replace(BERT_BASE, family="roberta")
    assert EncoderShape.from_config(RobertaConfig(max_position_embeddings=514)) == roberta
    assert dense_flops(roberta) == dense_flops(BERT_BASE)
    backbone = BertConfig(hidden_size=60, intermediate_size=100, num_hidden_layers=5, num_attention_heads=5)
    config = FastBertConfig(backbone=backbone.to_dict(), classifier_width=24, classifier_heads=3)
    assert EncoderShape.from_config(config) == dataclasses.replace(ODD, max_tokens=512)


@pytest.mark.parametrize("config", [GPT2Config(), T5Config(), BertConfig(is_decoder=True), {"hidden_size": 768}, None])
def test_no_encoder(config):
    with pytest.raises(InputError, match=r"^model_type: found .*, expected a Transformer encoder"):
        EncoderShape.from_config(config)
