import json

import pytest
from transformers import BertTokenizerFast, GPT2Config, RobertaConfig, RobertaModel, XLMRobertaXLConfig

from fastbert_core.encoder_folder import check_encoder, from_folder, read_shape, tiny
from fastbert_core.errors import InputError


@pytest.fixture
def folder(tmp_path):
    return tiny(tmp_path / "tiny", ["one two three"], layers=2).source


def change(path, **values):
    """Put values into a JSON file, which may be new."""
    table = json.loads(path.read_text()) if path.is_file() else {}
    path.write_text(json.dumps(table | values))


@pytest.mark.parametrize(
    ("name", "values"),
    [
        ("tokenizer_config.json", {"do_lower_case": False}),
        ("tokenizer_config.json", {"tokenizer_class": "PreTrainedTokenizerFast"}),
        ("special_tokens_map.json", {"cls_token": "one"}),
        ("added_tokens.json", {"four": 99}),
        ("config.json", {"hidden_act": "relu"}),
    ],
)
def test_whatever_may_change_tokens_or_weights_changes_the_identity(folder, name, values):
    before = from_folder(folder).sha256
    change(folder / name, **values)
    assert from_folder(folder).sha256 != before


def test_how_and_where_json_was_written_does_not_change_the_identity(folder):
    before = from_folder(folder).sha256
    change(folder / "config.json", transformers_version="4.0", _name_or_path="/home/me/tiny")
    change(folder / "tokenizer_config.json", name_or_path="x", tokenizer_file="/y", special_tokens_map_file="/z")
    for path in folder.glob("*.json"):
        path.write_text(json.dumps(dict(reversed(json.loads(path.read_text()).items())), indent=7))
    assert from_folder(folder).sha256 == before
    assert tiny(folder.parent / "again", ["one two three"], layers=2).sha256 == before


def test_what_is_no_json_is_named(folder):
    (folder / "added_tokens.json").write_text("{")
    with pytest.raises(InputError, match=r"added_tokens\.json: found Expecting .*, expected JSON"):
        from_folder(folder)


def test_a_tokenizer_of_more_tokens_than_the_encoder_has_embeddings_is_refused(folder):
    check_encoder(folder)
    size = json.loads((folder / "config.json").read_text())["vocab_size"]
    change(folder / "config.json", vocab_size=size - 1)
    told = f"found a tokenizer of {size} tokens, expected at most the encoder's {size - 1}"
    with pytest.raises(InputError, match=told):
        check_encoder(folder)


def test_a_tokenizer_that_puts_no_cls_before_a_text_is_refused(folder):
    change(folder / "tokenizer.json", post_processor=None)
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    with pytest.raises(InputError, match=r"tiny: found a tokenizer that puts no \[CLS\] before a text, expected one"):
        check_encoder(folder)


@pytest.mark.parametrize(("config", "meant"), [(GPT2Config, ""), (XLMRobertaXLConfig, "; did you mean 'xlm-roberta'")])
def test_an_encoder_of_an_unknown_family_is_told_those_that_there_are(tmp_path, config, meant):
    config().save_pretrained(tmp_path)
    expected = f"encoder family: found '{config.model_type}', expected one of albert, bert, .*, xlnet"
    with pytest.raises(InputError, match=expected + meant) as caught:
        check_encoder(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("check", [check_encoder, read_shape])
def test_a_configuration_of_nothing_known_is_refused_by_name(tmp_path, check):
    with pytest.raises(InputError, match=r"found no config\.json"):
        check(tmp_path)
    (tmp_path / "config.json").write_text('{"model_type": "ber"}')
    with pytest.raises(InputError, match=r"config\.json: found .*`ber`.*, expected an encoder's configuration"):
        check(tmp_path)


def roberta(folder, pad=0, **sizes):
    """A RoBERTa of one segment with a tokenizer of BERT's kind, which counts two, as some published ones have."""
    sizes = {"hidden_size": 8, "num_hidden_layers": 2, "num_attention_heads": 2, "intermediate_size": 8} | sizes
    tokenizer = BertTokenizerFast.from_pretrained(folder)
    config = RobertaConfig(vocab_size=len(tokenizer), type_vocab_size=1, pad_token_id=pad, **sizes)
    RobertaModel(config, add_pooling_layer=False).save_pretrained(folder.parent / "roberta")
    tokenizer.save_pretrained(folder.parent / "roberta")
    return folder.parent / "roberta"


def test_pairs_may_be_of_one_segment(folder):
    check_encoder(roberta(folder), pair=True)


def test_pairs_may_not_be_of_more_segments_than_the_encoder_has(folder):
    pieces = json.loads((folder / "tokenizer.json").read_text())["post_processor"]
    for piece in pieces["pair"]:
        next(iter(piece.values()))["type_id"] *= 2
    change(folder / "tokenizer.json", post_processor=pieces)
    change(folder / "tokenizer_config.json", tokenizer_class="PreTrainedTokenizerFast")
    check_encoder(folder)
    with pytest.raises(InputError, match="tiny: found a tokenizer of 3 segments, expected at most the encoder's 2"):
        check_encoder(folder, pair=True)


def test_where_positions_follow_from_the_padding_token_it_must_be_the_tokenizers(folder):
    with pytest.raises(InputError, match="roberta: found a tokenizer that pads with token 0, expected 1, after"):
        check_encoder(roberta(folder, pad=1))


def test_weights_that_do_not_fit_are_refused_before_training(folder):
    change(folder / "config.json", num_hidden_layers=3)
    expected = rf"^{folder}: found no weights of 16 parameters, such as encoder\.layer\.2\."
    with pytest.raises(InputError, match=expected):
        check_encoder(folder)
