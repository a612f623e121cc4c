import pytest

from fastbert_core.errors import InputError
from fastbert_core.registry import Registry
from fastbert_core.trainings import TRAININGS


def test_a_package_s_modules_are_found_by_being_there():
    assert {"self-distillation", "reverse-kl", "labels", "distilbert"} <= set(TRAININGS)
    assert list(TRAININGS) == sorted(TRAININGS)
    assert len(TRAININGS) == len(list(TRAININGS))


def test_an_unknown_name_is_told_the_nearest():
    with pytest.raises(InputError, match=r"training: found 'self-distilation', .*; did you mean 'self-distillation'\?"):
        TRAININGS["self-distilation"]
    with pytest.raises(InputError, match=r"training: found 'xyz', expected one of alternating, .*reverse-kl") as error:
        TRAININGS["xyz"]
    assert "did you mean" not in str(error.value)
    assert "xyz" not in TRAININGS


def test_a_name_is_taken_once():
    registry = Registry("thing", "fastbert_core.trainings")
    registry.register("one", 1)
    with pytest.raises(ValueError, match="thing 'one' is registered twice"):
        registry.register("one", 2)
