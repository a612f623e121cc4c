import json

import pytest
from transformers import DistilBertConfig

from fastbert_core.backbones import check_encoder, tiny
from fastbert_core.errors import InputError


def test_a_tokenizer_of_more_tokens_than_the_encoder_has_embeddings_is_refused(tmp_path):
    folder = tiny(tmp_path / "tiny", ["one two three"], layers=1).source
    check_encoder(folder)
    config = json.loads((folder / "config.json").read_text())
    size = config["vocab_size"]
    (folder / "config.json").write_text(json.dumps(config | {"vocab_size": size - 1}))
    with pytest.raises(
        InputError, match=f"found a tokenizer of {size} tokens, expected at most the encoder's {size - 1}"
    ):
        check_encoder(folder)


def test_an_encoder_of_another_family_is_refused(tmp_path):
    DistilBertConfig().save_pretrained(tmp_path)
    with pytest.raises(InputError, match="found a model of type 'distilbert', expected bert or roberta"):
        check_encoder(tmp_path)
