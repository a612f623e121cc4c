"""The contract of every family of encoders in the registry, held with small random models."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.utils.flop_counter import FlopCounterMode
from transformers import AutoConfig, AutoModel, BertTokenizerFast

from fastbert_core.backbones import FAMILIES
from fastbert_core.encoding import Batch, Encoded
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.flops import EncoderShape, dense_true_macs, paper_flops, true_macs
from fastbert_core.frozen import _pass
from fastbert_core.matching import attention_scores
from fastbert_core.model import FastBertModel
from fastbert_core.reduced import in_precision
from fastbert_core.trace import Trace
from fastbert_core.tracing import probabilities
from tests.core.small import assert_agrees, random_model

LAYERS, WIDTH, LONGEST, PAD, VOCABULARY = 4, 16, 40, 1, 60
SIZES = {
    "vocab_size": VOCABULARY,
    "hidden_size": WIDTH,
    "num_hidden_layers": LAYERS,
    "num_attention_heads": 2,
    "intermediate_size": 24,
    "initializer_range": 0.3,
    "max_position_embeddings": LONGEST,
    "pad_token_id": PAD,
}
AFTER_PADDING = {"max_position_embeddings": LONGEST + PAD + 1, "type_vocab_size": 1}
DISTANCES = {"relative_attention": True, "pos_att_type": ["c2p", "p2c"], "position_biased_input": False}
V3 = {**DISTANCES, "type_vocab_size": 0, "position_buckets": 6, "share_att_key": True, "norm_rel_ebd": "layer_norm"}
# What a family's configuration says beside SIZES, in variants that differ in what is computed.
VARIANTS = {
    "bert": [{}],
    "ernie": [{}],
    "roberta": [AFTER_PADDING],
    "xlm-roberta": [AFTER_PADDING],
    "camembert": [AFTER_PADDING],
    "electra": [{"embedding_size": 8}, {"embedding_size": WIDTH}],
    "albert": [{"embedding_size": 8}, {"embedding_size": 8, "num_hidden_groups": 2, "inner_group_num": 2}],
    "distilbert": [
        {"dim": WIDTH, "n_layers": LAYERS, "n_heads": 2, "hidden_dim": 24, "max_position_embeddings": LONGEST}
    ],
    "mpnet": [AFTER_PADDING],
    "deberta": [DISTANCES, {"relative_attention": False}],
    "deberta-v2": [
        V3,
        V3 | {"share_att_key": False, "pos_att_type": ["p2c"], "conv_kernel_size": 3, "conv_act": "gelu"},
        {"relative_attention": False},
    ],
    "modernbert": [{"local_attention": 8, "global_attn_every_n_layers": 3}],
    "xlnet": [{"d_model": WIDTH, "n_layer": LAYERS, "n_head": 2, "d_inner": 24}],
}
each = pytest.mark.parametrize(
    ("family", "variant"),
    [(family, number) for family in FAMILIES for number in range(len(VARIANTS.get(family, [{}])))],
)


def config_of(family, variant=0):
    more = VARIANTS.get(family, [{}])[variant]
    common = ("vocab_size", "initializer_range", "pad_token_id") if family in ("distilbert", "xlnet") else SIZES
    return AutoConfig.for_model(family, **{name: SIZES[name] for name in common} | more)


def model_of(family, variant=0, attention=None):
    torch.manual_seed(5)
    config = config_of(family, variant)
    if attention:
        config._attn_implementation = attention
    return random_model(config, ["a", "b", "c"]).eval()


def batch(family, lengths):
    """Token ids, mask and segments; XLNet's segments of a text are 0, and [CLS] is of one of its own."""
    ids = torch.randint(5, VOCABULARY, (len(lengths), max(lengths)), generator=torch.Generator().manual_seed(1))
    mask = torch.arange(max(lengths)) < torch.tensor(lengths)[:, None]
    types = (torch.arange(max(lengths)) > 3).long().expand_as(ids)
    return ids.masked_fill(~mask, PAD), None if mask.all() else mask, types


@each
@pytest.mark.parametrize("lengths", [[23, 23, 23], [23, 9, 14]])
def test_every_layer_is_the_model_s_own(family, variant, lengths):
    model = model_of(family, variant)
    ids, mask, types = batch(family, lengths)
    takes_types = family not in ("distilbert", "mpnet", "modernbert") and model.backbone.config.to_dict().get(
        "type_vocab_size", 2
    ) not in (0, 1)
    given = {"token_type_ids": types} if takes_types else {}
    with torch.no_grad():
        states = model.backbone(
            ids, attention_mask=None if mask is None else mask.float(), output_hidden_states=True, **given
        ).hidden_states
        hidden = model.embed(ids, types)
        context = model.context(hidden, mask, types)
        real = slice(None) if mask is None else mask
        inner = model.backbone.config.to_dict().get("inner_group_num", 1)  # of which transformers tells every one
        assert len(states) == 1 + inner * model.layers
        states = states[::inner]
        torch.testing.assert_close(hidden[real], states[0][real], rtol=0, atol=1e-6)
        for layer in range(1, 1 + model.layers):
            hidden = model.run_layer(layer, hidden, context)
            normed = family == "modernbert" and layer == model.layers
            ours = model.read(hidden, mask) if normed else hidden
            torch.testing.assert_close(ours[real], states[layer][real], rtol=0, atol=2e-5)


def test_the_classifiers_read_cls_first_wherever_it_stands():
    model = model_of("xlnet")
    hidden, mask = torch.randn(2, 5, WIDTH), torch.arange(5) < torch.tensor([[3], [5]])
    read = model.read(hidden, mask)
    assert torch.equal(read[0], hidden[0, [2, 0, 1, 3, 4]])
    assert torch.equal(read[1], hidden[1, [4, 0, 1, 2, 3]])
    assert torch.equal(read[1:], model.read(hidden[1:], None))


@each
def test_scores_are_those_of_the_model_s_own_attention(family, variant):
    model = model_of(family, variant, "eager")
    ids, mask, types = batch(family, [23, 9, 14])
    hidden = list(model.hidden_states(ids, mask, types))
    if model.family.query_and_key is None:
        with pytest.raises(InputError, match=f"model: found one of family {family}, expected one with BERT's"):
            attention_scores(model, 1, hidden[0])
        return
    given = {"token_type_ids": types} if model.backbone.config.to_dict().get("type_vocab_size", 1) > 1 else {}
    found = model.backbone(ids, attention_mask=mask.float(), output_attentions=True, **given).attentions
    found = found[:: len(found) // model.layers]
    for layer in range(1, model.layers + 1):
        scores = attention_scores(model, layer, hidden[layer - 1])
        expected = scores.masked_fill(~mask[:, None, None, :], float("-inf")).softmax(-1)
        torch.testing.assert_close(expected, found[layer - 1], rtol=0, atol=1e-5)


@each
def test_students_of_a_frozen_backbone_read_what_they_read_in_the_whole_model(family, variant):
    model = model_of(family, variant)
    ids, mask, types = batch(family, [23, 9, 14])
    with torch.no_grad():
        kept, teacher = _pass(model, Batch(ids, mask, types), range(1, model.layers))
        logits = [*(head(hidden, mask) for head, hidden in zip(model.classifiers[:-1], kept, strict=True)), teacher]
        torch.testing.assert_close(torch.stack(logits, dim=1), model.exit_logits(ids, mask, types))


@each
def test_the_engine_leaves_where_the_trace_does(family, variant):
    model = model_of(family, variant)
    for weights in model.classifiers.parameters():
        torch.nn.init.normal_(weights, std=0.3)
    vocabulary = ["[UNK]", "[PAD]", "[CLS]", "[SEP]", "[MASK]", *(f"word{number}" for number in range(5, VOCABULARY))]
    tokenizer = BertTokenizerFast(vocab={word: at for at, word in enumerate(vocabulary)})
    if not model.family.pooled:
        with pytest.raises(InputError, match=rf"^model: found one of family {family}, which is dense only"):
            Engine(model, tokenizer)
        return
    rng = np.random.default_rng(0)
    lengths = rng.integers(2, LONGEST + 1, 50)
    encoded = Encoded(
        rng.integers(5, VOCABULARY, lengths.sum()).astype(np.int32), None, np.concatenate([[0], lengths.cumsum()])
    )
    p = probabilities(model, encoded, PAD, batch_size=16)
    trace = Trace(p, np.zeros(len(p), np.int64), encoded.lengths, {"layers": list(range(1, LAYERS + 1))})
    speed = float(np.quantile(trace.uncertainties, 0.3))
    engine = Engine(model, tokenizer)
    assert engine.max_tokens == LONGEST
    for batch_size in (1, 16):
        found = engine.predict(encoded, speed, batch_size=batch_size)
        assert_agrees(trace, found, speed)
        assert len(np.unique(found.exit_layers)) > 2


@each
def test_true_macs_are_what_runs(family, variant):
    model = model_of(family, variant, "eager").requires_grad_(False)  # where it is, the counter stumbles over a view
    shape = EncoderShape.from_config(model.config)
    for tokens in (3, 31):
        ids, mask, types = batch(family, [tokens])
        for layer in (1, 2, LAYERS):
            for layers, macs in (
                (tuple(range(1, layer + 1)), true_macs(shape, layer, tokens, 3)),
                ((layer,), dense_true_macs(dataclasses.replace(shape, layers=layer), tokens, 3)),
            ):
                with FlopCounterMode(display=False) as counter, torch.no_grad():
                    model.exit_logits(ids, mask, types, layers)
                assert counter.get_total_flops() == 2 * macs


@each
def test_the_paper_s_unit_prices_all_layers_but_the_first_alike(family, variant):
    shape = EncoderShape.from_config(config_of(family, variant))
    exits = paper_flops(shape, np.arange(1, shape.layers + 1), tokens=30)
    further = np.diff(exits)
    assert (further == further[0]).all()
    assert exits[0] >= further[0] > 0
    assert EncoderShape(**vars(shape)) == shape


@each
def test_every_layer_runs_and_every_weight_learns_under_autocast(family, variant):
    model = model_of(family, variant)
    ids, mask, types = batch(family, [9, 5])
    exact = model.exit_logits(ids, mask, types)
    with torch.autocast("cpu", torch.bfloat16):
        output = model(ids, mask, types, labels=torch.tensor([0, 1]))
    assert (output.exit_logits - exact).abs().max() < 0.1
    output.loss.backward()
    without = {name.split(".")[-1] for name, weights in model.named_parameters() if weights.grad is None}
    assert without <= {"mask_emb"}  # of XLNet's pre-training
    assert all(weights.grad.isfinite().all() for weights in model.parameters() if weights.grad is not None)


@each
def test_a_shallow_model_has_the_first_layer_of_each_block(family, variant, tmp_path):
    model = model_of(family, variant)
    shallow = model.first_of_blocks(2).eval()
    ids, mask, types = batch(family, [23, 9, 14])
    with torch.no_grad():
        hidden = model.embed(ids, types)
        context = model.context(hidden, mask, types)
        for layer in (1, 3):
            hidden = model.run_layer(layer, hidden, context)
        expected = model.classify(LAYERS, hidden, mask)
        torch.testing.assert_close(shallow.exit_logits(ids, mask, types)[:, -1], expected)
    shallow.save_pretrained(tmp_path)
    again = FastBertModel.from_pretrained(tmp_path).eval()
    assert again.layers == shallow.layers == 2
    assert EncoderShape.from_config(again.config).layers == 2
    with torch.no_grad():
        assert torch.equal(again.exit_logits(ids, mask, types), shallow.exit_logits(ids, mask, types))
    assert model.layers == LAYERS


@each
def test_an_encoder_s_folder_is_loaded_whole(family, variant, tmp_path):
    torch.manual_seed(0)
    encoder = AutoModel.from_config(config_of(family, variant))
    encoder.save_pretrained(tmp_path)
    model = FastBertModel.from_backbone(tmp_path, ["a", "b"]).eval()
    ids, mask, types = batch(family, [7, 7])
    assert model.exit_logits(ids, mask, types).shape == (2, LAYERS, 2)
    stored = encoder.state_dict()
    assert all(torch.equal(weights, stored[name]) for name, weights in model.backbone.state_dict().items())


@each
def test_a_family_runs_in_int8(family, variant):
    """Every backbone's linear layers are found, and what they say in int8 is near what they say in fp32."""
    model = model_of(family, variant)
    ids, mask, _ = batch(family, [23, 9, 14])
    reduced = in_precision(model, "int8", torch.device("cpu"))
    assert not [module for module in reduced.backbone.modules() if type(module) is torch.nn.Linear]
    assert any(type(module) is torch.nn.Linear for module in reduced.classifiers.modules())
    with torch.inference_mode():
        exact, found = (each.exit_logits(ids, mask).softmax(dim=-1) for each in (model, reduced))
    assert 0 < (found - exact).abs().max() < 0.05
