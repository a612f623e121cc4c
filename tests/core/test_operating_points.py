"""Operating points keep what they promise on calibration rows, come back from their file, and answer for any target."""

import dataclasses
import json
import re
import time
from functools import partial

import numpy as np
import pytest

from fastbert_core.budgets import Budget, Pace, held
from fastbert_core.engine import BUDGETED, Engine
from fastbert_core.errors import InputError
from fastbert_core.evaluation import said_of
from fastbert_core.exit_rules import RULES, exit_layers
from fastbert_core.exit_rules.entropy import Entropy
from fastbert_core.operating_points import (
    CURVE_POINTS,
    FILE,
    calibrated,
    costs,
    load_points,
    save_points,
    weights_sha256,
)
from fastbert_core.show import first_option
from fastbert_core.sweep import every_threshold, slowest_within
from fastbert_core.thresholds import learn_then_test
from fastbert_core.tsv import Split
from tests.core.small import make_model, make_tokenizer, texts_of
from tests.factories import make_trace

ROWS = 600
ENCODER = {"layers": 6, "hidden": 384, "intermediate": 1536, "heads": 12}
TRACE = make_trace(ROWS, 3, encoder=ENCODER)


def points_of(trace):
    return calibrated(trace, model_sha256="m", texts_sha256="t", max_tokens=128)


@pytest.fixture(scope="module")
def points():
    return points_of(TRACE)


def speedup_at(threshold):
    cost, dense = costs(TRACE)
    left = exit_layers(TRACE.uncertainties, threshold)
    return dense.mean() / cost[np.arange(ROWS), left - 1].mean()


def test_each_point_is_as_fast_as_it_says_and_no_slower_than_asked(points):
    asked = [point for point in points.points if point.target == "speedup"]
    assert [point.value for point in asked] == [1.5, 2.0, 3.0, 4.0]  # six layers give less than six
    for point in asked:
        assert point.value <= point.speedup < 1.05 * point.value
        assert point.speedup == pytest.approx(speedup_at(point.threshold))
        low, high = point.interval
        assert low < point.speedup < high


def test_any_speedup_has_its_threshold(points):
    for asked in np.linspace(1.0, points.speedups[-1] - 1e-9, 37):
        assert asked <= speedup_at(points.threshold(speedup=asked)) < 1.06 * asked
    for wrong in (0.5, points.speedups[-1] + 0.1, float("nan")):
        with pytest.raises(InputError, match="expected a number from 1 to"):
            points.threshold(speedup=wrong)


def test_the_curve_is_of_the_slowest_thresholds_of_its_speedups(points):
    cost, dense = costs(TRACE)
    wanted = dense.mean() / np.linspace(1.0, points.speedups[-1], CURVE_POINTS)
    every = {slowest_within(TRACE.uncertainties, cost, most) for most in wanted} - {None}
    assert set(points.thresholds) == {0.0, every_threshold(TRACE.uncertainties)[-1], *every}


def test_any_tolerance_is_certified_as_on_the_rows_themselves(points):
    losses = TRACE.predictions != TRACE.predictions[:, -1:]
    for tolerated in (0.001, 0.005, 0.01, 0.02, 0.037, 0.2):
        expected = learn_then_test(losses, TRACE.uncertainties, tolerated).threshold or 0.0
        assert points.threshold(max_disagreement=tolerated) == expected
    assert points.threshold(max_disagreement=0.001) == 0.0  # 600 rows certify nothing so small
    for wrong in (0.0, 1.0, -0.1, "much"):
        with pytest.raises(InputError, match="max_disagreement: found"):
            points.threshold(max_disagreement=wrong)


def test_accuracy_is_that_of_the_labelled_rows():
    some = np.where(np.arange(ROWS) % 3 == 0, TRACE.labels, -1)
    found, none = (points_of(dataclasses.replace(TRACE, labels=known)) for known in (some, np.full(ROWS, -1)))
    assert (found.labelled, none.labelled, none.full_accuracy) == (200, 0, None)
    assert found.full_accuracy == pytest.approx(100 * TRACE.correct[::3, -1].mean())
    assert [point.threshold for point in found.points] == [point.threshold for point in none.points]


def test_the_first_option_is_one_at_which_texts_leave(points):
    few = points_of(make_trace(50, 3, encoder=ENCODER))
    assert first_option(points) == "--max-disagreement 0.01"
    assert first_option(few) == "--speedup 2"
    assert first_option(dataclasses.replace(few, speedups=(*few.speedups[:-1], 1.87))) == "--speedup 1.8"


@pytest.mark.parametrize(("most", "first"), [(0.56, None), (0.999, None), (1.0, 1.0), (1.04, 1.0), (1.27, 1.2)])
def test_what_is_to_be_tried_first_is_not_refused(points, most, first):
    speedups, lost = (*(0.5 for _ in points.speedups[1:]), most), tuple(ROWS for _ in points.lost)
    slow = dataclasses.replace(points, points=(), speedups=speedups, lost=lost)
    target, value = slow.first_to_try
    assert (target, value) == (("speedup", first) if first else ("max_disagreement", 0.01))
    assert slow.threshold(**{target: value}) >= 0
    told = "from 1 to" if most >= 1 else r"a speed or a max_disagreement: exits cost more than they save here, 0\.\d+x"
    with pytest.raises(InputError, match=f"speedup: found 2.0, expected .*{told}"):
        slow.threshold(speedup=2)


def test_they_come_back_whole_and_of_no_other_model(points, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    points = dataclasses.replace(points, model_sha256=weights_sha256(tmp_path))
    path = save_points(points, tmp_path)
    assert load_points(path) == points
    (tmp_path / "model.safetensors").write_bytes(b"others")
    with pytest.raises(InputError, match=r"found it beside weights \w{12}, .*`fastbert calibrate"):
        load_points(path)
    whole = path.read_text()
    cases = [(whole[:-20], "no JSON"), ("[]", "a JSON list"), ("{}", "no 'points'")]
    for name, value, found in (
        ("lost", [1], "curves of other lengths"),
        ("rows", "2000", "'2000' for a number"),
        ("max_tokens", None, "None for a number"),
        ("speedups", [None] * len(points.speedups), "None for a number"),
    ):
        cases.append((json.dumps(json.loads(whole) | {name: value}), found))
    for damaged, found in cases:
        path.write_text(damaged)
        with pytest.raises(InputError, match=rf"operating_points\.json: found {found}.*expected .*fastbert calibrate"):
            load_points(path)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    folder = tmp_path_factory.mktemp("model")
    make_model().save_pretrained(folder)
    make_tokenizer().save_pretrained(folder)
    return folder


def said_by(engine, texts):
    """What a model says of texts without labels."""
    return said_of(engine.model, engine.tokenizer, Split(texts, None, np.full(len(texts), -1)), "")


@pytest.fixture(scope="module")
def of_model(folder):
    """The model's operating points, of the first 200 texts that there are."""
    return said_by(Engine.from_pretrained(folder), texts_of(200)).operating_points(folder)


def calibrated_engine(folder, points, **changes):
    engine = Engine.from_pretrained(folder)
    engine.points = dataclasses.replace(points, **changes)
    return engine


def test_the_engine_takes_exactly_one_target_and_points_that_lie_beside_the_model(folder, of_model):
    texts, engine = texts_of(40), Engine.from_pretrained(folder)
    with pytest.raises(InputError, match=r"found no operating_points\.json, .*`fastbert calibrate MODEL --texts FILE`"):
        engine.predict(texts, speedup=1.2)
    save_points(of_model, folder)
    for target in ({"speedup": 1.1}, {"max_disagreement": 0.3}):
        found = engine.predict(texts, **target)
        assert found == engine.predict(texts, speed=min(1.0, of_model.threshold(**target)))
        for rule in ("entropy", RULES["entropy"], Entropy()):
            assert engine.predict(texts, rule=rule, **target) == found
            assert engine.submit(texts[0], rule=rule, **target).result().exit_layer == found[0].exit_layer
    for wrong in ({}, {"speed": 0.5, "speedup": 2}, {"speedup": 2, "max_disagreement": 0.1}):
        with pytest.raises(InputError, match="expected one of speed, speedup, max_disagreement, budget and layers_per"):
            engine.predict(texts, **wrong)
    for other in ("margin", RULES["margin"]):
        with pytest.raises(InputError, match=r"rule: found '[mM]argin', expected entropy"):
            engine.predict(texts, rule=other, speedup=1.1)
    fewer, shorter = engine.model.layers - 1, engine.max_tokens - 1
    with pytest.raises(InputError, match=f"max_layers: found {fewer}, expected {fewer + 1}, as max_disagreement was"):
        engine.predict(texts, max_disagreement=0.3, max_layers=fewer)
    assert len(engine.predict(texts, speedup=1.1, max_layers=fewer)) == len(texts)
    with pytest.raises(InputError, match=f"max_tokens: found {shorter}, expected {shorter + 1}, as max_disagreement"):
        Engine.from_pretrained(folder, max_tokens=shorter).predict(texts, max_disagreement=0.3)
    (folder / FILE).write_text((folder / FILE).read_text().replace(of_model.model_sha256, "0" * 64))
    with pytest.raises(InputError, match="found it beside weights"):
        Engine.from_pretrained(folder).predict(texts, speedup=1.1)


def test_a_budget_is_held_over_a_stream_as_on_its_trace(folder, of_model, caplog):
    texts, engine = texts_of(500)[200:], calibrated_engine(folder, of_model)
    budget = 1 + 0.4 * (engine.model.layers - 1)
    found = list(engine.predict(iter(texts), budget=budget))
    executed = np.array([one.exit_layer for one in found])
    scores = said_by(engine, texts).trace.uncertainties
    steer = Budget(engine.points.thresholds, engine.points.layers, budget)
    assert np.array_equal(executed[:BUDGETED], exit_layers(scores[:BUDGETED], steer.threshold))
    expected = held(scores, steer, BUDGETED)
    assert executed.mean() == pytest.approx(expected.mean(), abs=0.05)
    assert abs(executed.mean() - budget) < steer.bound
    assert len({*executed.tolist()}) > 1
    assert caplog.messages == []


def test_a_stream_that_waits_for_its_texts_is_given_the_layers_of_a_second(folder, of_model):
    texts, engine = texts_of(4 * BUDGETED), calibrated_engine(folder, of_model)

    def slowly():
        for number, text in enumerate(texts):
            if number % BUDGETED == 0:
                time.sleep(0.02)
            yield text

    plenty = list(engine.predict(slowly(), layers_per_second=1000 * engine.model.layers * BUDGETED))
    assert {one.exit_layer for one in plenty} == {engine.model.layers}
    little = list(engine.predict(slowly(), layers_per_second=0.01))
    assert {one.exit_layer for one in little} == {1}
    with pytest.raises(InputError, match="found one text"):
        engine.predict("a text", layers_per_second=9)
    with pytest.raises(InputError, match="layers_per_second: found 0"):
        engine.predict(iter(texts), layers_per_second=0)


def test_no_layers_are_saved_up_beyond_max_layers(folder, of_model, monkeypatch):
    texts, now = texts_of(20 * BUDGETED), [0.0]
    engine = calibrated_engine(folder, of_model)
    monkeypatch.setattr("fastbert_core.engine.Pace", partial(Pace, clock=lambda: now[0]))

    def idle_then_flood():
        for number, text in enumerate(texts):
            now[0] += 1000 * (number < len(texts) // 2)
            yield text

    found = engine.predict(idle_then_flood(), layers_per_second=100, max_layers=2)
    executed = np.array([one.exit_layer for one in found])
    assert set(executed[: len(texts) // 2]) == {2}
    assert set(executed[len(texts) // 2 :]) == {1}
    for wrong in (0.9, 2.5, "much"):
        with pytest.raises(InputError, match=f"budget: found {wrong!r}, expected mean layers from 1 to 2"):
            engine.predict(iter(texts), budget=wrong, max_layers=2)


def test_a_stream_unlike_calibration_is_warned_of_once(folder, of_model, caplog):
    texts, surer = texts_of(400), tuple(np.array(of_model.first) - 0.5)
    engine = calibrated_engine(folder, of_model, first=surer)
    assert len(list(engine.predict(iter(texts), speed=0.5))) == 400  # a speed promises nothing
    assert caplog.messages == []
    for target in ({"speedup": 1.1}, {"budget": 2}):
        caplog.clear()
        assert len(list(engine.predict(iter(texts), **target))) == 400
        (line,) = caplog.messages
        assert re.match(r"by text [1-9]\d* the first exit is less sure than on calibration's texts", line)
