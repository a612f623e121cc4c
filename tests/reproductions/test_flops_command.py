"""The `flops` command: table 1 with its witnesses, the paper's misprints, and the count of one configuration."""

import contextlib
import functools
import io
import json
from pathlib import Path

import pandas as pd
import pytest
from transformers import BertConfig, GPT2Config

from fastbert_core.errors import InputError
from reproductions import table1
from reproductions.flops import print_count, print_paper, write_paper

PROJECT = Path(__file__).parents[2]


@pytest.fixture(scope="module")
def written(tmp_path_factory) -> tuple[Path, str]:
    """The folder with what the command writes, and what it prints."""
    folder = tmp_path_factory.mktemp("flops")
    with pytest.MonkeyPatch.context() as patch, contextlib.redirect_stdout(io.StringIO()) as output:
        patch.setattr("reproductions.table1.table", functools.cache(table1.table))  # the witnesses count for long
        print_paper()
        write_paper(folder / "results")
    return folder, output.getvalue()


def test_the_committed_table_is_what_the_command_writes(written):
    kept = "results/paper/table1.csv"
    assert (written[0] / kept).read_text(encoding="utf-8") == (PROJECT / kept).read_text(encoding="utf-8")


def test_witnesses_agree_with_the_analytic_count(written):
    table = pd.read_csv(written[0] / "results/paper/table1.csv")
    counted = table[table["analytic"].notna()]
    assert set(counted["unit"]) == {"paper FLOPs", "true MACs"}
    assert (counted["fvcore"] == counted["analytic"]).all()
    assert (counted["torch"] == counted["analytic"]).all()
    models = counted.query("unit == 'paper FLOPs' and block == 'Model'").set_index("operation")["analytic"]
    assert models["BERT, 12 layers + teacher"] == 21_785_247_744
    assert models["FastBERT, leaving at layer 12"] == 22_246_981_632


def test_raw_counts_of_the_witnesses(written):
    table = pd.read_csv(written[0] / "results/paper/table1.csv").query("unit == 'as counted'")
    assert table["fvcore"].tolist() == [11_185_913_856, 11_185_913_856 - 301_989_888]
    assert table["torch"].tolist() == [22_347_251_712, 22_347_251_712 - 2 * 301_989_888]
    assert "linear 10871635968 + matmul 301989888" in table["note"].iloc[0]


def test_reported_figures_stand_at_their_operations(written):
    table = pd.read_csv(written[0] / "results/paper/table1.csv").dropna(subset="reported_mflops")
    assert table["reported_mflops"].tolist() == [603.0, 1207.9, 1809.9, 25.1, 16.8, 4.2, 46.1, 21785, 3707, 11123]
    assert (table["reported_mflops"] - table["analytic"] / 1e6).abs().max() < 2.1  # table 1's total is the worst
    assert "1810.9; by arithmetic the layer takes 1811.9" in table["note"].iloc[2]


def test_prints_table_and_misprints(written):
    assert "21785247744     21785247744     21785247744" in written[1]
    assert "table 3, FastBERT, speed=0.2, yelp-polarity\n    mflops 52783, by arithmetic 5278: one" in written[1]


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
