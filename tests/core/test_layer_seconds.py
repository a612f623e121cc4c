"""Speedups of seconds: what costs follow from the times, and that calibration takes them."""

import itertools
from types import SimpleNamespace

import numpy as np
import pytest

from fastbert_core import layer_seconds
from fastbert_core.engine import Engine
from fastbert_core.evaluation import said_of
from fastbert_core.exit_rules import exit_layers
from fastbert_core.heads import Folded
from fastbert_core.layer_seconds import second_costs
from fastbert_core.operating_points import load_points, save_points
from fastbert_core.tsv import Split
from tests.core.small import make_model, make_tokenizer, texts_of

TOKENS = np.array([3, 8, 12, 16], np.int32)


def test_costs_are_layers_and_exits_by_length(monkeypatch):
    model = make_model()
    shapes = Engine(model, make_tokenizer()).shapes()
    asked = []

    def timed(of, width, rows):
        asked.append((width, rows))
        return width * 1.0, 2.0

    monkeypatch.setattr(layer_seconds, "_of_width", timed)
    cost, dense = second_costs(model, TOKENS, shapes)
    assert asked == [(8, shapes.capacity(8)), (16, shapes.capacity(16))]
    layer = np.array([8, 8, 12, 16])  # straight between the widths that were timed
    np.testing.assert_allclose(cost, np.outer(layer + 2, np.arange(1, model.layers + 1)))
    np.testing.assert_allclose(dense, model.layers * layer + 2)


def test_the_best_round_after_the_first_counts_for_each_text_of_a_batch(monkeypatch):
    now = [0.0]

    def taking(*seconds):
        left = itertools.chain(seconds, itertools.repeat(seconds[-1]))
        return lambda *_: now.append(now[-1] + next(left))

    model = make_model()
    monkeypatch.setattr(layer_seconds, "time", SimpleNamespace(perf_counter=lambda: now[-1]))
    monkeypatch.setattr(model, "run_layer", taking(1, 9, 8, 12))
    monkeypatch.setattr(model, "classify", taking(0.5, 4))
    assert layer_seconds._of_width(model, width=8, rows=4) == (8 / 4, 4 / 4)


def test_operating_points_of_seconds(tmp_path, monkeypatch):
    timed = []
    monkeypatch.setattr(layer_seconds, "_of_width", lambda *of: timed.append(of) or (1.0, 0.5))  # exits half as dear
    model, tokenizer, texts = make_model(), make_tokenizer(), texts_of(200)
    model.save_pretrained(tmp_path)
    said = said_of(model, tokenizer, Split(texts, None, np.full(200, -1)), "")
    points = said.operating_points(tmp_path, Engine(model, tokenizer).shapes())
    assert {type(head) for of, *_ in timed for head in of.classifiers} == {Folded}, "what an engine runs"
    save_points(points, tmp_path)
    assert load_points(tmp_path / "operating_points.json") == points
    assert (points.unit, said.operating_points(tmp_path).unit) == ("seconds", "multiply-accumulates")
    scores, layers = said.trace.uncertainties, model.layers
    for point in points.points:
        left = exit_layers(scores, point.threshold or 0.0)
        assert point.speedup == pytest.approx((layers + 0.5) / (1.5 * left.mean()))
    assert points.speedups[0] == pytest.approx((layers + 0.5) / (1.5 * layers))
