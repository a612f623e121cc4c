"""The `flops` command: table 1 with its witnesses, the paper's misprints, and the count of one configuration."""

import json
from pathlib import Path

import pytest
from transformers import BertConfig, GPT2Config

from fastbert_core.errors import InputError
from reproductions import cli, table1
from reproductions.checkout import committed
from reproductions.flops import print_count, print_paper
from reproductions.tables import read_table


@pytest.fixture(scope="module")
def table():
    """Table 1 as it is committed, which the gate counts again."""
    return read_table(committed("results", "paper"), "table1")


def test_witnesses_agree_with_the_analytic_count(table):
    counted = table[table["analytic"].notna()]
    assert set(counted["unit"]) == {"paper FLOPs", "true MACs"}
    assert (counted["fvcore"] == counted["analytic"]).all()
    assert (counted["torch"] == counted["analytic"]).all()
    models = counted.query("unit == 'paper FLOPs' and block == 'Model'").set_index("operation")["analytic"]
    assert models["BERT, 12 layers + teacher"] == 21_785_247_744
    assert models["FastBERT, leaving at layer 12"] == 22_246_981_632


def test_prints_table_and_misprints(table, monkeypatch, capsys):
    monkeypatch.setattr(table1, "table", lambda: table)
    print_paper()
    printed = capsys.readouterr().out
    assert "21785247744     21785247744     21785247744" in printed
    assert "table 3, FastBERT, speed=0.2, yelp-polarity\n    mflops 52783, by arithmetic 5278: one" in printed


def folder_of(config: object, path: Path) -> Path:
    config.save_pretrained(path)
    return path


def test_count_of_a_configuration(tmp_path, capsys):
    backbone = folder_of(BertConfig(hidden_size=384, intermediate_size=1536), tmp_path)
    print_count(backbone, tokens=128, classes=14, exit_layer=1)
    output = capsys.readouterr().out
    assert "482377728" in output
    assert "5465210880  speedup 11.330" in output
    assert "Fully-connect (128->14)" in output


def test_the_command_counts_what_its_options_say(capsys):
    assert cli.main(["flops", "--tokens", "64", "--exit-layer", "3", "--classes", "5"]) == 0
    assert "\n64 tokens, 5 classes, leaving at layer 3 of 12\n" in capsys.readouterr().out


def test_folder_without_an_encoder(tmp_path):
    with pytest.raises(InputError, match=r"nowhere: found no config.json, expected a Hugging Face folder"):
        print_count(tmp_path / "nowhere")
    with pytest.raises(InputError, match=r"model_type: found gpt2, expected a Transformer encoder"):
        print_count(folder_of(GPT2Config(), tmp_path / "decoder"))


@pytest.mark.parametrize(
    "text",
    [
        *("", "{", "[]", "3", json.dumps({"hidden_size": 3}), json.dumps({"model_type": "magic"})),
        json.dumps({"model_type": "bert", "hidden_size": None}),
        json.dumps({"model_type": "roberta", "pad_token_id": None}),
    ],
)
def test_damaged_configuration(tmp_path, text):
    (tmp_path / "config.json").write_text(text)
    with pytest.raises(InputError) as raised:
        print_count(tmp_path)
    assert str(raised.value).startswith(str(tmp_path))
    assert "\n" not in str(raised.value)


def test_impossible_configuration(tmp_path):
    config = json.dumps({"model_type": "bert", "hidden_size": 100, "num_attention_heads": 7})
    (tmp_path / "config.json").write_text(config)
    with pytest.raises(InputError, match=r"encoder heads: found 7, expected a divisor of hidden 100"):
        print_count(tmp_path)
