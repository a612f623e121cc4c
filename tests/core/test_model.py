import json
import shutil

import numpy as np
import pytest
import torch
from transformers import (
    BertConfig,
    BertForMaskedLM,
    BertForSequenceClassification,
    BertModel,
)

from fastbert_core.errors import InputError
from fastbert_core.model import FastBertConfig, FastBertModel, load_backbone

SIZES = {
    "vocab_size": 50,
    "hidden_size": 24,
    "num_hidden_layers": 3,
    "num_attention_heads": 4,
    "intermediate_size": 40,
    "max_position_embeddings": 20,
    "initializer_range": 0.3,
}


@pytest.fixture
def folder(tmp_path):
    torch.manual_seed(0)
    BertModel(BertConfig(**SIZES), add_pooling_layer=False).save_pretrained(tmp_path / "bert")
    return tmp_path / "bert"


def inputs(padded):
    generator = torch.Generator().manual_seed(1)
    ids = torch.randint(5, 50, (3, 9), generator=generator)
    mask = torch.arange(9) < torch.tensor([[9], [5], [1]]) if padded else None
    return ids, mask


def test_forward_asks_the_named_classifiers(folder):
    model = FastBertModel.from_backbone(folder, ["a", "b", "c", "d"]).eval()
    ids, mask = inputs(True)
    every = model.exit_logits(ids, mask)
    assert every.shape == (3, 3, 4)
    torch.testing.assert_close(model.exit_logits(ids, mask, layers=(3,)), every[:, 2:])
    torch.testing.assert_close(model.exit_logits(ids, mask, layers=(1, 3)), every[:, ::2])
    torch.testing.assert_close(model.exit_logits(ids, mask, layers=(3, 1)), every[:, [2, 0]])
    assert len(model.classifiers) == 3
    assert model.teacher is model.classifiers[2]


def test_the_backbone_is_of_the_type_that_is_asked_for(folder, tmp_path):
    FastBertModel.from_backbone(folder, ["a", "b"]).to(torch.bfloat16).save_pretrained(tmp_path / "saved")
    for options, dtype in (({}, torch.float32), ({"dtype": torch.bfloat16}, torch.bfloat16)):
        model = FastBertModel.from_pretrained(tmp_path / "saved", **options)
        assert model.dtype == dtype
        assert {parameter.dtype for parameter in model.parameters()} == {dtype}
        assert torch.isfinite(model(inputs(False)[0]).exit_logits).all()


def test_whether_it_takes_pairs_is_kept(folder, tmp_path):
    for pair in (True, False, None):
        model = FastBertModel.from_backbone(folder, ["a", "b"], pair)
        assert model.first_of_blocks(1).config.pair is pair
        model.save_pretrained(tmp_path)
        assert FastBertModel.from_pretrained(tmp_path).config.pair is pair
    config = json.loads((tmp_path / "config.json").read_text())
    config.pop("pair")  # as in a folder written before there was such a thing
    (tmp_path / "config.json").write_text(json.dumps(config))
    assert FastBertModel.from_pretrained(tmp_path).config.pair is None


def test_a_folder_of_something_else_is_refused(folder, tmp_path):
    with pytest.raises(InputError, match=r"found a model of type 'bert', .* FastBertModel\.from_backbone makes one"):
        FastBertModel.from_pretrained(folder)
    with pytest.raises(InputError, match="nowhere: cannot be loaded as a FastBERT"):
        FastBertModel.from_pretrained(tmp_path / "nowhere")
    with pytest.raises(InputError, match="nowhere: cannot be loaded as an encoder"):
        load_backbone(tmp_path / "nowhere")
    shutil.copytree(folder, tmp_path / "mixed")  # an encoder's weights under a FastBERT's configuration
    FastBertModel.from_backbone(folder, ["a", "b"]).config.save_pretrained(tmp_path / "mixed")
    with pytest.raises(InputError, match=r"mixed: found no weights of \d+ parameters, such as backbone\."):
        FastBertModel.from_pretrained(tmp_path / "mixed")


@pytest.mark.parametrize("names", ["ab", ["a", "a"], {0: "no", 1: "yes"}, ["a"], [], [0, 1], None])
def test_class_names_are_two_or_more_different_texts(folder, names):
    expected = r"class_names: found .*, expected a list of two or more different names"
    with pytest.raises(InputError, match=expected):
        FastBertModel.from_backbone(folder, names)


# Which layers it has, test_backbones.py holds of every family.
def test_a_shallower_model_has_classifiers_of_the_same_size_and_reads_as_many_tokens(tmp_path):
    sizes = {"classifier_width": 16, "classifier_heads": 4, "classifier_dropout": 0.3, "max_tokens": 9}
    deep = FastBertModel(FastBertConfig(backbone=BertConfig(**SIZES).to_dict(), **sizes)).eval()
    with pytest.raises(InputError, match="layers: found 2, expected a divisor of 3"):
        deep.first_of_blocks(2)
    deep.first_of_blocks(1).save_pretrained(tmp_path)
    shallow = FastBertModel.from_pretrained(tmp_path).eval()
    assert {name: getattr(shallow.config, name) for name in sizes} == sizes
    hidden = torch.randn(2, 5, 24, generator=torch.Generator().manual_seed(2))
    assert torch.equal(shallow.classify(1, hidden, None), deep.classify(3, hidden, None))


def test_half_precision_on_disk_becomes_float32(folder):
    BertModel.from_pretrained(folder, add_pooling_layer=False, dtype=torch.float16).save_pretrained(folder)
    assert json.loads((folder / "config.json").read_text())["dtype"] == "float16"
    assert load_backbone(folder).dtype == torch.float32


@pytest.mark.parametrize("keep", [100, 5000])
def test_truncated_weights_are_refused_by_name(folder, keep):
    weights = folder / "model.safetensors"
    weights.write_bytes(weights.read_bytes()[:keep])
    with pytest.raises(InputError, match="bert: cannot be loaded as an encoder") as caught:
        load_backbone(folder)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("kind", [BertForMaskedLM, BertForSequenceClassification])
def test_heads_upon_the_encoder_may_be_left_out_but_nothing_within(tmp_path, kind):
    kind(BertConfig(**SIZES)).save_pretrained(tmp_path)
    assert load_backbone(tmp_path).config.num_hidden_layers == 3
    config = json.loads((tmp_path / "config.json").read_text())
    (tmp_path / "config.json").write_text(json.dumps(config | {"num_hidden_layers": 2}))
    with pytest.raises(InputError, match=r"16 weights that config\.json has no place for, .*encoder\.layer\.2\."):
        load_backbone(tmp_path)


@pytest.mark.parametrize(
    ("size", "message"),
    [
        # A student would be taken for the teacher.
        ({"num_hidden_layers": 2}, r"29 weights that .* has no place for, such as backbone\.encoder\.layer\.2\."),
        ({"vocab_size": 51}, r"word_embeddings\.weight of shape \[50, 24\], expected \[51, 24\] as in config\.json"),
    ],
)
def test_a_trained_model_that_does_not_fit_its_configuration_is_refused_by_name(folder, tmp_path, size, message):
    FastBertModel.from_backbone(folder, ["a", "b"]).save_pretrained(tmp_path / "saved")
    config = json.loads((tmp_path / "saved" / "config.json").read_text())
    (tmp_path / "saved" / "config.json").write_text(json.dumps(config | {"backbone": config["backbone"] | size}))
    with pytest.raises(InputError, match=message):
        FastBertModel.from_pretrained(tmp_path / "saved")


def test_classifiers_of_many_labels_begin_at_how_often_each_holds(folder):
    labels = np.zeros((98, 4), int)
    labels[:49, 0] = labels[:9, 1] = 1
    start = {"classifier_init": "label-shares", "labels": labels, "task_type": "multi-label"}
    model = FastBertModel.from_backbone(folder, ["joy", "anger", "fear", "love"], **start)
    for classifier in model.classifiers:
        said = classifier.output.bias.detach().double().sigmoid()
        np.testing.assert_allclose(said, [0.5, 0.1, 0.01, 0.01], rtol=1e-5)  # of so few rows none says never
