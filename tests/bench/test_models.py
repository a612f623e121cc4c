import pytest

from bench import models
from fastbert_core import packaged


@pytest.fixture
def listed(tmp_path, monkeypatch):
    """The run of a trained model, as runs.csv lists it; runs lie in the user's cache folder, data at hand."""
    monkeypatch.setattr(models, "RESULTS", tmp_path)
    monkeypatch.setattr(packaged.platformdirs, "user_cache_dir", lambda name: str(tmp_path / "cache" / name))
    monkeypatch.delenv("FASTBERT_RUNS", raising=False)
    monkeypatch.setenv("FASTBERT_DATA", str(tmp_path))
    (tmp_path / "runs.csv").write_text("run_id,task,training,seed\nabc,dbpedia,self-distillation,7\n")
    return tmp_path


def trained_in(runs):
    model = runs / "abc" / "model"
    model.mkdir(parents=True)
    return model


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


def test_without_data_no_model_is_at_hand(listed, monkeypatch):
    trained_in(listed / "cache" / "fastbert-suite" / "runs")
    monkeypatch.delenv("FASTBERT_DATA")
    assert models.available() == {}
