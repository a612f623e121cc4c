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


@pytest.fixture
def cache(listed):
    """Where models are trained without the variable FASTBERT_RUNS."""
    return listed / "cache" / "fastbert-suite" / "runs"


def trained_in(runs, *named):
    for run in named or ("abc",):
        (runs / run / "model").mkdir(parents=True)
    return runs / "abc" / "model"


def test_models_in_the_cache_are_found_and_the_variable_goes_before_it(listed, cache, monkeypatch):
    assert models.available() == {}
    model = trained_in(cache)
    assert models.available() == {"dbpedia": model}
    monkeypatch.setenv("FASTBERT_RUNS", str(listed / "named"))
    assert models.available() == {}
    model = trained_in(listed / "named")
    assert models.available() == {"dbpedia": model}


def test_without_data_only_models_of_packaged_text_are_at_hand(cache, monkeypatch):
    trained_in(cache, "abc", "def", "123", "456")
    packaged_ones = {"reuters-r8": cache / "123" / "model", "reuters-r8/all-mpnet-base-v2": cache / "456" / "model"}
    standard_ones = {"dbpedia": cache / "abc" / "model", "dbpedia/all-mpnet-base-v2": cache / "def" / "model"}
    assert models.available() == packaged_ones | standard_ones
    assert models.usual() == ["dbpedia"]
    monkeypatch.delenv("FASTBERT_DATA")
    assert models.available() == packaged_ones
    assert models.usual() == ["reuters-r8"]


def test_the_benches_tables_may_hold_every_name_and_no_other_table_one_with_an_encoder(cache):
    trained_in(cache, "abc", "def")
    for table, columns in TABLES.items():
        if "task" in columns:
            holds = [re.fullmatch(columns["task"].form, name) is not None for name in models.available()]
            assert holds == [True, table in BENCHES], table


def test_a_committed_run_goes_before_the_users_own(listed, cache, monkeypatch):
    own = listed / "own" / "packaged"
    own.mkdir(parents=True)
    table = (listed / "packaged" / "runs.csv").read_text()
    (own / "runs.csv").write_text(table.replace("123", "mine"))
    monkeypatch.setattr(models, "PLACES", (listed / "own", listed))
    trained_in(cache, "mine")  # as in bf16, where the committed run is in fp32
    assert models.available() == {"reuters-r8": cache / "mine" / "model"}
    trained_in(cache, "123")
    assert models.available() == {"reuters-r8": cache / "123" / "model"}


def test_of_several_seeds_the_lowest_at_hand_is_measured(listed, cache):
    table = listed / "standard" / "runs.csv"
    row = "abc,dbpedia,en-bert-small-12x384,self-distillation,7,standard"
    others = [row.replace("abc", name).replace(",7,", f",{seed},") for name, seed in (("eight", 8), ("ten", 10))]
    table.write_text("\n".join([table.read_text(), *others]))
    for name in ("ten", "eight", "abc"):
        trained_in(cache, name)
        assert models.available() == {"dbpedia": cache / name / "model"}


def test_no_run_id_leads_out_of_the_folder_of_runs(listed):
    table = listed / "standard" / "runs.csv"
    table.write_text(table.read_text().replace("abc", "../../elsewhere"))
    with pytest.raises(InputError, match="found a way out of"):
        models.available()


def test_without_a_model_the_smoke_model_is_measured(listed):
    (listed / "packaged" / "runs.csv").write_text("a,b\n1,2\n")  # of another program
    assert models.usual() == ["smoke"]
