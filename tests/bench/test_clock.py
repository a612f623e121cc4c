import pytest
import torch

from bench import clock
from bench.clock import Work, in_turns

EMBEDDING, LAYER = 2, 1  # seconds by the model's own clock


class Model:
    """Nothing but a clock, and a note of who ran its layers."""

    device = torch.device("cpu")

    def __init__(self):
        self.now, self.ran = 0, []

    def embed(self, name):
        self.now += EMBEDDING

    def run_layer(self, name):
        self.now += LAYER
        self.ran.append(name)
        return torch.is_inference_mode_enabled()


def passing(model, name, layers):
    @torch.inference_mode()
    def do():
        model.embed(name)
        assert all(model.run_layer(name) for _ in range(layers)), "left inference mode"
        return name

    return do


def test_works_alternate_and_each_has_its_own_seconds_and_answer(monkeypatch):
    model = Model()
    monkeypatch.setattr(clock.time, "perf_counter", lambda: model.now)
    monkeypatch.setattr(clock, "TURN", 4)
    slow, fast = Work(passing(model, "slow", 40)), Work(passing(model, "fast", 10), share=1 / 4)
    in_turns(model, [slow, fast])
    assert (slow.answer, fast.answer) == ("slow", "fast")
    assert (slow.seconds, fast.seconds) == (42, 12)
    assert (slow.embedding_seconds, fast.embedding_seconds) == (2, 2)
    turn = ["slow"] * 4 + ["fast"]
    # The embedding is the first half of slow's first turn, and the whole of fast's.
    assert model.ran == ["slow"] * 2 + turn * 9 + ["slow"] * 2 + ["fast"]
    assert not vars(model).keys() & {"embed", "run_layer"}, "the model's own methods are back"


def test_what_a_work_raises_is_raised_and_the_model_is_as_it_was():
    model = Model()

    def fails():
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        in_turns(model, [Work(fails), Work(fails)])
    assert not torch.is_inference_mode_enabled()
    assert not vars(model).keys() & {"embed", "run_layer"}, "the model's own methods are back"
