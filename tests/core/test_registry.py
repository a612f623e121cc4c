import pytest

from fastbert_core.backbones import FAMILIES
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import RULES
from fastbert_core.registry import Registry
from fastbert_core.sources import find_encoder
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.trainings import TRAININGS


@pytest.mark.parametrize(
    ("registry", "found", "meant"),
    [
        (TRAININGS, "training: found 'self-distilation'", "self-distillation"),
        (RULES, "exit rule: found 'entropie'", "entropy"),
        (FAMILIES, "encoder family: found 'distilbertt'", "distilbert"),
        (TASK_TYPES, "task type: found 'regresion'", "regression"),
    ],
)
def test_an_unknown_name_is_told_the_nearest(registry, found, meant):
    with pytest.raises(InputError, match=rf"^{found}, expected one of .*; did you mean '{meant}'\?$"):
        registry[found.split("'")[1]]
    with pytest.raises(InputError, match="found 'xyz', expected one of") as error:
        registry["xyz"]
    assert "did you mean" not in str(error.value)
    assert "xyz" not in registry
    for name in (["entropy"], 5, None):
        with pytest.raises(InputError, match="expected one of"):
            registry[name]


def test_a_backbone_that_nobody_has_is_told_the_nearest(monkeypatch, tmp_path):
    monkeypatch.setattr("huggingface_hub.snapshot_download", lambda *_, **__: 1 / 0)
    with pytest.raises(InputError, match=r"backbone 'mimilm': cannot be had from the hub .*; did you mean 'minilm'\?$"):
        find_encoder("mimilm", [], tmp_path, print)


def test_a_name_is_taken_once():
    registry = Registry("thing", "fastbert_core.trainings")
    registry.register("one", 1)
    with pytest.raises(ValueError, match="thing 'one' is registered twice"):
        registry.register("one", 2)
