"""Engines in fewer bits, and which of them is fastest."""

import copy
import json

import numpy as np
import pytest
import torch
from transformers import ModernBertConfig

from fastbert_core import fastest, known_precision, precision, reduced
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.fastest import Tried, fastest_of, try_precisions
from fastbert_core.known_precision import keep_precision
from fastbert_core.model import FastBertModel
from fastbert_core.precision import candidates
from fastbert_core.reduced import DTYPES, folded, in_precision
from tests.core.small import PAD, make_model, texts_of, varied

CPU = torch.device("cpu")


# Activations of 8 bits only where the CPU adds them up without overflow; of 7 bits anywhere.
@pytest.mark.parametrize("vnni", sorted({False, precision.multiplies_int8()}))
def test_int8_is_near_fp32_and_leaves_the_caller_s_model_alone(model, tokenizer, monkeypatch, vnni):
    monkeypatch.setattr(reduced, "multiplies_int8", lambda: vnni)
    encoded, engine_before = varied(40), torch.backends.quantized.engine
    exact = Engine(model, tokenizer).predict(encoded, 0)
    engine = Engine(model, tokenizer, precision="int8")
    for batch_size in (1, None):
        found = engine.predict(encoded, 0, batch_size=batch_size)
        most = 0.1 if vnni else 0.2  # activations of 8 bits, and of 7
        assert 0 < np.abs(found.probabilities - exact.probabilities).max() < most
        assert (found.labels == exact.labels).mean() > 0.9
    assert engine.precision == "int8"
    assert model.dtype == engine.model.dtype == torch.float32
    assert torch.backends.quantized.engine == engine_before
    assert Engine(model, tokenizer).predict(encoded, 0).uncertainties.tolist() == exact.uncertainties.tolist()


def layer_in_int8(weight, bias=None):
    """A linear layer before and after."""
    layer = torch.nn.Linear(*weight.shape[::-1], bias=bias is not None)
    layer.weight.data = weight.clone()
    if bias is not None:
        layer.bias.data = bias.clone()
    eight = torch.nn.Sequential(copy.deepcopy(layer))
    reduced.quantise(eight)
    return layer, eight[0]


@pytest.mark.parametrize("bias", [None, torch.tensor([3.0, -2.0, 0.5, 0.0])])
@pytest.mark.parametrize("far", [(2, slice(None)), (slice(None), 7)], ids=["output", "input"])
def test_neither_an_output_nor_an_input_nor_a_token_rounds_the_others_away(bias, far):
    """One of each is a thousand times larger. No error exceeds what a step of its own token and output explains."""
    draw = torch.Generator().manual_seed(1)
    weight, x = torch.randn(4, 32, generator=draw), torch.randn(3, 5, 32, generator=draw)
    weight[far] *= 1000
    x[:, 3] *= 1000
    exact, eight = layer_in_int8(weight, bias)
    evened = copy.deepcopy(exact)
    size = reduced._even_out(evened)
    scaled, weights = (x * size).abs(), evened.weight.detach().abs()
    steps_of_x = scaled.amax(dim=-1, keepdim=True) * 2 / (127 if eight.seven_bits else 255)
    steps_of_weights = weights.amax(dim=1) * 2 / 255
    most = steps_of_x * weights.sum(dim=1) + steps_of_weights * scaled.sum(dim=-1, keepdim=True)
    with torch.inference_mode():
        error = (eight(x) - exact(x)).abs()
    assert (error <= most).all()
    assert error.max() > 0


def test_zeros_give_the_bias():
    _, eight = layer_in_int8(torch.ones(2, 8), torch.tensor([1.0, -1.0]))
    assert eight(torch.zeros(3, 8)).tolist() == [[1.0, -1.0]] * 3


def test_an_input_without_weights_is_no_division_by_zero():
    _, eight = layer_in_int8(torch.zeros(2, 8))
    assert torch.equal(eight(torch.randn(3, 8)), torch.zeros(3, 2))


def test_fp32_is_the_model_itself(model):
    assert in_precision(model, "fp32", CPU) is model
    assert in_precision(model, "fp32", torch.device("cpu", 0)) is not model  # as of GPUs, one of another number


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_what_reads_hidden_states_has_16_bits_and_what_follows_has_32(model, precision):
    reduced, dtype = in_precision(model, precision, CPU), DTYPES[precision]
    assert {each.dtype for each in reduced.backbone.parameters()} == {dtype}
    for exact, classifier in zip(model.classifiers, reduced.classifiers, strict=True):
        for name, each in classifier.named_parameters():
            first = name.startswith("reduce.")
            assert each.dtype == (dtype if first else torch.float32), name
            assert torch.equal(each, exact.get_parameter(name).to(each.dtype)), name
    assert (
        reduced.classify(1, torch.zeros(2, 3, reduced.config.backbone_config.hidden_size, dtype=dtype), None).dtype
        == torch.float32
    )


@pytest.mark.parametrize("precision", ["bf16", "fp16"])
def test_rotary_positions_are_computed_in_32_bits(precision):
    """Of 16 bits a frequency is off by up to 1 / 512, and the angle of position 500 by most of a radian."""
    model = make_model(ModernBertConfig, pad_token_id=PAD, max_position_embeddings=512)
    dtype = DTYPES[precision]
    hidden = torch.zeros(1, 512, model.config.backbone_config.hidden_size)
    reduced = in_precision(model, precision, CPU).context(hidden.to(dtype), None)
    for kind, (_, exact) in model.context(hidden, None).items():
        for angles, of_32_bits in zip(reduced[kind][1], exact, strict=True):
            assert torch.equal(angles, of_32_bits.to(dtype))


def test_requests_in_int8(model, tokenizer):
    """One after the other, so that each is alone, and computed in the same way."""
    with Engine(model, tokenizer, precision="int8") as engine:
        for text in texts_of(20):
            assert engine.submit(text, 0.3).result(60)[:3] == engine.predict(text, 0.3)[:3]


@pytest.mark.parametrize("name", ["fp16", "fp8", "fastest"])
def test_what_a_cpu_does_not_multiply_is_refused(model, tokenizer, name):
    with pytest.raises(InputError, match=f"precision: found '?{name}"):
        Engine(model, tokenizer, precision=name, device="cpu")


def test_int8_is_refused_on_a_gpu():
    with pytest.raises(InputError, match="found int8 on cuda, expected fp32"):
        precision.resolve_precision("int8", torch.device("cuda"), precision.ENGINE_PRECISIONS)


@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")
def test_fp16_on_a_gpu(model, tokenizer):
    engine = Engine(model, tokenizer, precision="fp16", device="cuda")
    exact = Engine(model, tokenizer).predict(varied(40), 0)
    assert np.abs(engine.predict(varied(40), 0).probabilities - exact.probabilities).max() < 0.02


# --- the fastest ---


@pytest.mark.parametrize(("multiplies", "expected"), [(True, ["fp32", "bf16", "int8"]), (False, ["fp32", "int8"])])
def test_all_that_the_machine_multiplies_is_tried(model, tokenizer, monkeypatch, multiplies, expected):
    monkeypatch.setattr(precision, "multiplies_bf16", lambda device: multiplies)
    assert candidates(CPU) == expected
    tried = try_precisions(model, tokenizer, texts_of(40), texts_of(40, 1))
    assert [each.precision for each in tried] == expected
    assert tried[0].same == 100
    assert all(each.texts_per_second > 0 and 80 < each.same <= 100 for each in tried)


def test_the_fastest_is_one_that_says_what_fp32_says():
    tried = [Tried("fp32", 10.0, 100.0), Tried("bf16", 30.0, 99.5), Tried("int8", 50.0, 99.4)]
    assert fastest_of(tried).precision == "bf16"
    assert fastest_of(tried[:1]).precision == "fp32"
    assert fastest.SAME == 99.5


def test_what_was_tried_is_kept_by_kind_of_machine(folder, monkeypatch):
    keep_precision(folder, CPU, "int8", [])
    assert Engine.from_pretrained(folder, precision="fastest").precision == "int8"
    monkeypatch.setattr(known_precision, "machine", lambda device: "another")
    with pytest.raises(InputError, match="found no precision that was tried on another, expected one; `fastbert cal"):
        Engine.from_pretrained(folder, precision="fastest")
    keep_precision(folder, CPU, "fp32", [Tried("fp32", 9.0, 100.0)._asdict()])
    assert Engine.from_pretrained(folder, precision="fastest").precision == "fp32"
    monkeypatch.undo()
    assert Engine.from_pretrained(folder, precision="fastest").precision == "int8"
    assert len(json.loads((folder / known_precision.FILE).read_text())) == 2


def test_the_weights_are_there_before_what_was_tried_on_them_is_looked_up(folder, monkeypatch):
    """A hub's cache may have neither, and what was tried is of these very weights."""
    order, load = [], FastBertModel.from_pretrained
    monkeypatch.setattr(FastBertModel, "from_pretrained", lambda source: order.append("weights") or load(source))
    monkeypatch.setattr("fastbert_core.engine.known_precision", lambda *_: order.append("tried") or "fp32")
    Engine.from_pretrained(folder, precision="fastest")
    assert order == ["weights", "tried"]


def test_machines_that_differ_in_int8_alone_are_of_two_kinds(folder, monkeypatch):
    """Where sums of int8 overflow, activations have 7 bits: other answers, and another speed."""
    monkeypatch.setattr(known_precision, "multiplies_int8", lambda: True)
    keep_precision(folder, CPU, "int8", [])
    monkeypatch.setattr(known_precision, "multiplies_int8", lambda: False)
    with pytest.raises(InputError, match="found no precision that was tried on"):
        Engine.from_pretrained(folder, precision="fastest")


@pytest.mark.parametrize(
    ("damage", "said"),
    [
        ("{", "expected precisions by machine"),
        ("[]", "expected precisions by machine"),
        ('{"a": {"precision": "int8"}}', "expected precisions by machine"),
        ('{"a": {"precision": "fp8", "model_sha256": ""}}', "found an unknown precision"),
        (None, "found it beside weights"),
    ],
)
def test_a_damaged_record_is_told(folder, damage, said):
    path = keep_precision(folder, CPU, "int8", [])
    path.write_text(damage if damage is not None else path.read_text().replace('_sha256": "', '_sha256": "0'))
    with pytest.raises(InputError, match=said):
        Engine.from_pretrained(folder, precision="fastest")


def test_folding_leaves_the_model_as_it_is(model):
    heads = list(model.classifiers)
    twin = folded(model)
    assert list(model.classifiers) == heads
    assert all(one is other for one, other in zip(model.backbone.parameters(), twin.backbone.parameters(), strict=True))
    assert not {type(head) for head in twin.classifiers} & {type(head) for head in heads}
