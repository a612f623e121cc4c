"""Operating points keep what they promise on calibration rows, come back from their file, and answer for any target."""

import dataclasses
import json
import re
import time
from functools import partial

import numpy as np
import pytest
from scipy.special import softmax

from fastbert_core.budgets import Budget, Pace, held
from fastbert_core.engine import BUDGETED, Engine
from fastbert_core.errors import InputError
from fastbert_core.evaluation import said_of
from fastbert_core.exit_rules import RULES, exit_layers, get_rule
from fastbert_core.exit_rules.entropy import Entropy
from fastbert_core.flops import EncoderShape
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
from fastbert_core.trace import Trace
from fastbert_core.tsv import Split
from tests.core.small import CLASSES, make_model, make_tokenizer, texts_of

SHAPE = EncoderShape(layers=6, hidden=384, intermediate=1536, heads=12)
ROWS, LAYERS = 600, 6


@pytest.fixture(scope="module")
def rows():
    """What exits say that grow surer, with different speed, of one right class each."""
    rng = np.random.default_rng(3)
    labels, tokens = rng.integers(0, 3, ROWS), rng.integers(5, 100, ROWS).astype(np.int32)
    sure = rng.gamma(2.0, 0.6, ROWS)[:, None] * np.arange(1, LAYERS + 1)
    logits = rng.normal(size=(ROWS, LAYERS, 3)) * 0.5
    logits[np.arange(ROWS), :, labels] += sure
    return softmax(logits, axis=-1).astype(np.float32), labels, tokens


@pytest.fixture(scope="module")
def points(rows):
    return calibrated(trace_of(*rows), model_sha256="m", texts_sha256="t", max_tokens=128)


def trace_of(p, labels, tokens):
    metadata = {"classes": ["a", "b", "c"], "layers": list(range(1, LAYERS + 1)), "encoder": SHAPE.described}
    return Trace(p, labels, tokens, metadata)


def speedup_at(rows, threshold):
    p = rows[0]
    cost, dense = costs(trace_of(*rows))
    left = exit_layers(get_rule("entropy").score(p), threshold)
    return dense.mean() / cost[np.arange(ROWS), left - 1].mean()


def test_each_point_is_as_fast_as_it_says_and_no_slower_than_asked(rows, points):
    asked = [point for point in points.points if point.target == "speedup"]
    assert [point.value for point in asked] == [1.5, 2.0, 3.0, 4.0]  # six layers give less than six
    for point in asked:
        assert point.value <= point.speedup < 1.05 * point.value
        assert point.speedup == pytest.approx(speedup_at(rows, point.threshold))
        low, high = point.interval
        assert low < point.speedup < high


def test_any_speedup_has_its_threshold(rows, points):
    for asked in np.linspace(1.0, points.speedups[-1] - 1e-9, 37):
        assert asked <= speedup_at(rows, points.threshold(speedup=asked)) < 1.06 * asked
    for wrong in (0.5, points.speedups[-1] + 0.1, float("nan")):
        with pytest.raises(InputError, match="expected a number from 1 to"):
            points.threshold(speedup=wrong)


def test_the_curve_is_of_the_slowest_thresholds_of_its_speedups(rows, points):
    trace = trace_of(*rows)
    cost, dense = costs(trace)
    wanted = dense.mean() / np.linspace(1.0, points.speedups[-1], CURVE_POINTS)
    every = {slowest_within(trace.uncertainties, cost, most) for most in wanted} - {None}
    assert set(points.thresholds) == {0.0, every_threshold(trace.uncertainties)[-1], *every}


def test_any_tolerance_is_certified_as_on_the_rows_themselves(rows, points):
    p = rows[0]
    scores, answers = get_rule("entropy").score(p), get_rule("entropy").answer(p)
    losses = answers != answers[:, -1:]
    for tolerated in (0.001, 0.005, 0.01, 0.02, 0.037, 0.2):
        expected = learn_then_test(losses, scores, tolerated).threshold or 0.0
        assert points.threshold(max_disagreement=tolerated) == expected
    assert points.threshold(max_disagreement=0.001) == 0.0  # 600 rows certify nothing so small
    for wrong in (0.0, 1.0, -0.1, "much"):
        with pytest.raises(InputError, match="max_disagreement: found"):
            points.threshold(max_disagreement=wrong)


def test_accuracy_is_that_of_the_labelled_rows(rows):
    p, labels, tokens = rows
    some = np.where(np.arange(ROWS) % 3 == 0, labels, -1)
    of = {"model_sha256": "m", "texts_sha256": "t", "max_tokens": 128}
    found, none = (calibrated(trace_of(p, known, tokens), **of) for known in (some, np.full(ROWS, -1)))
    assert (found.labelled, none.labelled, none.full_accuracy) == (200, 0, None)
    assert found.full_accuracy == pytest.approx(100 * (p[::3, -1].argmax(axis=1) == labels[::3]).mean())
    assert [point.threshold for point in found.points] == [point.threshold for point in none.points]


def test_the_first_option_is_one_at_which_texts_leave(points, rows, tmp_path):
    (tmp_path / "model.safetensors").write_bytes(b"weights")
    few = calibrated(trace_of(*(each[:50] for each in rows)), texts_sha256="t", max_tokens=128, model_sha256="m")
    for found, option in ((points, "--max-disagreement 0.01"), (few, "--speedup 2")):
        save_points(dataclasses.replace(found, model_sha256=weights_sha256(tmp_path)), tmp_path)
        assert first_option(tmp_path) == option
    slow = dataclasses.replace(few, model_sha256=weights_sha256(tmp_path), speedups=(*few.speedups[:-1], 1.87))
    save_points(slow, tmp_path)
    assert first_option(tmp_path) == "--speedup 1.8"


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
    short = json.dumps(json.loads(whole) | {"lost": [1]})
    cases = (whole[:-20], "no JSON"), ("[]", "a JSON list"), ("{}", "no 'points'"), (short, "curves of other lengths")
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


def test_the_engine_takes_exactly_one_target_and_points_that_lie_beside_the_model(folder):
    texts, engine = texts_of(40), Engine.from_pretrained(folder)
    with pytest.raises(InputError, match=r"found no operating_points\.json, .*`fastbert calibrate MODEL --texts FILE`"):
        engine.predict(texts, speedup=1.2)
    said = said_of(engine.model, engine.tokenizer, Split(texts, None, np.full(40, -1)), "")
    points = said.operating_points(folder)
    save_points(points, folder)
    for target in ({"speedup": 1.1}, {"max_disagreement": 0.3}):
        found = engine.predict(texts, **target)
        assert found == engine.predict(texts, speed=min(1.0, points.threshold(**target)))
        for rule in ("entropy", RULES["entropy"], Entropy()):
            assert engine.predict(texts, rule=rule, **target) == found
            assert engine.submit(texts[0], rule=rule, **target).result().exit_layer == found[0].exit_layer
    for wrong in ({}, {"speed": 0.5, "speedup": 2}, {"speedup": 2, "max_disagreement": 0.1}):
        with pytest.raises(
            InputError, match="expected one of speed, speedup, max_disagreement, budget and layers_per_second"
        ):
            engine.predict(texts, **wrong)
    with pytest.raises(InputError, match="rule: found 'margin', expected entropy"):
        engine.predict(texts, rule="margin", speedup=1.1)
    with pytest.raises(InputError, match="rule: found 'Margin', expected entropy"):
        engine.predict(texts, rule=RULES["margin"], speedup=1.1)
    other = load_points(folder / FILE)
    (folder / FILE).write_text((folder / FILE).read_text().replace(other.model_sha256, "0" * 64))
    with pytest.raises(InputError, match="found it beside weights"):
        Engine.from_pretrained(folder).predict(texts, speedup=1.1)


def calibrated_engine(folder, texts, **changes):
    engine = Engine.from_pretrained(folder)
    points = said_of(engine.model, engine.tokenizer, Split(texts, None, np.full(len(texts), -1)), "")
    engine.points = dataclasses.replace(points.operating_points(folder), **changes)
    return engine


def test_a_budget_is_held_over_a_stream_as_on_its_trace(folder, caplog):
    texts = texts_of(600)
    engine = calibrated_engine(folder, texts[:300])
    budget = 1 + 0.4 * (engine.model.layers - 1)
    found = list(engine.predict(iter(texts[300:]), budget=budget))
    executed = np.array([one.exit_layer for one in found])
    scores = said_of(engine.model, engine.tokenizer, Split(texts[300:], None, []), "").trace.uncertainties
    steer = Budget(engine.points.thresholds, engine.points.layers, budget)
    assert np.array_equal(executed[:BUDGETED], exit_layers(scores[:BUDGETED], steer.threshold))
    expected = held(scores, steer, BUDGETED)
    assert executed.mean() == pytest.approx(expected.mean(), abs=0.05)
    assert abs(executed.mean() - budget) < steer.bound
    assert len({*executed.tolist()}) > 1
    assert caplog.messages == []


def test_a_stream_that_waits_for_its_texts_is_given_the_layers_of_a_second(folder):
    texts = texts_of(4 * BUDGETED)
    engine = calibrated_engine(folder, texts)

    def slowly():
        for number, text in enumerate(texts):
            if number % BUDGETED == 0:
                time.sleep(0.2)
            yield text

    plenty = list(engine.predict(slowly(), layers_per_second=1000 * engine.model.layers * BUDGETED))
    assert {one.exit_layer for one in plenty} == {engine.model.layers}
    little = list(engine.predict(slowly(), layers_per_second=0.01))
    assert {one.exit_layer for one in little} == {1}
    with pytest.raises(InputError, match="found one text"):
        engine.predict("a text", layers_per_second=9)
    with pytest.raises(InputError, match="layers_per_second: found 0"):
        engine.predict(iter(texts), layers_per_second=0)


def test_no_layers_are_saved_up_beyond_max_layers(folder, monkeypatch):
    texts, now = texts_of(20 * BUDGETED), [0.0]
    engine = calibrated_engine(folder, texts)
    monkeypatch.setattr("fastbert_core.engine.Pace", partial(Pace, clock=lambda: now[0]))

    def idle_then_flood():
        for number, text in enumerate(texts):
            now[0] += 1000 * (number < len(texts) // 2)
            yield text

    found = engine.predict(idle_then_flood(), layers_per_second=100, max_layers=2)
    executed = np.array([one.exit_layer for one in found])
    assert set(executed[: len(texts) // 2]) == {2}
    assert set(executed[len(texts) // 2 :]) == {1}
    with pytest.raises(InputError, match=r"budget: found 2\.5, expected mean layers from 1 to 2"):
        engine.predict(iter(texts), budget=2.5, max_layers=2)


def test_a_stream_unlike_calibration_is_warned_of_once(folder, caplog):
    texts = texts_of(400)
    surer = tuple(np.array(calibrated_engine(folder, texts[:200]).points.first) - 0.5)
    engine = calibrated_engine(folder, texts[:200], first=surer)
    assert len(list(engine.predict(iter(texts), speed=0.5))) == 400  # a speed promises nothing
    assert caplog.messages == []
    for target in ({"speedup": 1.1}, {"budget": 2}):
        caplog.clear()
        assert len(list(engine.predict(iter(texts), **target))) == 400
        (line,) = caplog.messages
        assert re.match(r"by text [1-9]\d* the first exit is less sure than on calibration's texts", line)


@pytest.mark.parametrize(
    ("texts", "budget", "message"),
    [
        ("one text", 2, "budget: found one text, expected a list or an iterator"),
        (["a"], 0.9, "budget: found 0.9, expected mean layers from 1 to"),
        (["a"], 99, "budget: found 99, expected mean layers from 1 to"),
        (["a"], "much", "budget: found 'much', expected mean layers from 1 to"),
    ],
)
def test_budgets_that_cannot_be_held(folder, texts, budget, message):
    with pytest.raises(InputError, match=message):
        calibrated_engine(folder, texts_of(20)).predict(texts, budget=budget)


def test_probabilities_are_those_of_the_layer_where_a_text_leaves(folder):
    engine = Engine.from_pretrained(folder)
    for batch_size in (1, None):
        for found in engine.predict(texts_of(30), speed=0.6, batch_size=batch_size):
            assert sum(found.probabilities) == pytest.approx(1, abs=1e-5)
            assert len(found.probabilities) == len(CLASSES)
            assert found.index == int(np.argmax(found.probabilities))
