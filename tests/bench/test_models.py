import re

import pytest

from bench import models
from fastbert_core import packaged
from fastbert_core.errors import InputError
from reproductions.columns import TABLES
from reproductions.machines import BENCHES


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """Runs of trained models, as runs.csv lists them, one on another encoder than the task's own; data at hand."""
    monkeypatch.setattr(models, "PLACES", (tmp_path,))
    monkeypatch.setattr(packaged.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.delenv("FASTBERT_RUNS", raising=False)
    monkeypatch.setenv("FASTBERT_DATA", str(tmp_path))
    of = {
        "standard": ("abc,dbpedia,en-bert-small-12x384", "def,dbpedia,all-mpnet-base-v2"),
        "packaged": ("123,reuters-r8,all-MiniLM-L6-v2", "456,reuters-r8,all-mpnet-base-v2"),
    }
    for profile, rows in of.items():
        (tmp_path / profile).mkdir()
        lines = [
            "run_id,task,backbone,training,seed,profile",
            *(f"{row},self-distillation,7,{profile}" for row in rows),
        ]
        (tmp_path / profile / "runs.csv").write_text("\n".join(lines))
    return tmp_path


def trained_in(runs, *named):
    for run in named or ("abc",):
        (runs / run / "model").mkdir(parents=True)
    return runs / "abc" / "model"


def test_models_trained_without_the_variable_are_found(listed):
    assert models.available() == {}
    model = trained_in(listed / "cache" / "fastbert-suite" / "runs")
    assert models.available() == {"dbpedia": model}


def test_the_variable_goes_before_the_cache(listed, monkeypatch):
    trained_in(listed / "cache" / "fastbert-suite" / "runs")
    monkeypatch.setenv("FASTBERT_RUNS", str(listed / "named"))
    assert models.available() == {}
    model = trained_in(listed / "named")
    assert models.available() == {"dbpedia": model}


def test_without_data_only_models_of_packaged_text_are_at_hand(listed, monkeypatch):
    runs = listed / "cache" / "fastbert-suite" / "runs"
    trained_in(runs, "abc", "def", "123", "456")
    packaged_ones = {"reuters-r8": runs / "123" / "model", "reuters-r8/all-mpnet-base-v2": runs / "456" / "model"}
    standard_ones = {"dbpedia": runs / "abc" / "model", "dbpedia/all-mpnet-base-v2": runs / "def" / "model"}
    assert models.available() == packaged_ones | standard_ones
    assert models.usual() == ["dbpedia"]
    monkeypatch.delenv("FASTBERT_DATA")
    assert models.available() == packaged_ones
    assert models.usual() == ["reuters-r8"]


def test_the_benches_tables_may_hold_every_name_and_no_other_table_one_with_an_encoder(listed):
    trained_in(listed / "cache" / "fastbert-suite" / "runs", "abc", "def")
    for table, columns in TABLES.items():
        if "task" in columns:
            holds = [re.fullmatch(columns["task"].form, name) is not None for name in models.available()]
            assert holds == [True, table in BENCHES], table


def test_a_committed_run_goes_before_the_users_own(listed, monkeypatch):
    runs, own = listed / "cache" / "fastbert-suite" / "runs", listed / "own" / "packaged"
    own.mkdir(parents=True)
    table = (listed / "packaged" / "runs.csv").read_text()
    (own / "runs.csv").write_text(table.replace("123", "mine"))
    monkeypatch.setattr(models, "PLACES", (listed / "own", listed))
    trained_in(runs, "mine")  # as in bf16, where the committed run is in fp32
    assert models.available() == {"reuters-r8": runs / "mine" / "model"}
    trained_in(runs, "123")
    assert models.available() == {"reuters-r8": runs / "123" / "model"}


def test_of_several_seeds_the_lowest_at_hand_is_measured(listed):
    table = listed / "standard" / "runs.csv"
    row = "abc,dbpedia,en-bert-small-12x384,self-distillation,7,standard"
    others = [row.replace("abc", name).replace(",7,", f",{seed},") for name, seed in (("eight", 8), ("ten", 10))]
    table.write_text("\n".join([table.read_text(), *others]))
    runs = listed / "cache" / "fastbert-suite" / "runs"
    for name in ("ten", "eight", "abc"):
        trained_in(runs, name)
        assert models.available() == {"dbpedia": runs / name / "model"}


def test_no_run_id_leads_out_of_the_folder_of_runs(listed):
    table = listed / "standard" / "runs.csv"
    table.write_text(table.read_text().replace("abc", "../../elsewhere"))
    with pytest.raises(InputError, match="found a way out of"):
        models.available()


def test_without_a_model_the_smoke_model_is_measured(listed):
    assert models.usual() == ["smoke"]
