"""Curves, areas and what is said of exits one by one, against plain loops and by hand."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import roc_auc_score

from fastbert_core.exit_metrics import calibration_error, curve, elue, failure_auroc, oracle_gap, overthinking
from fastbert_core.metrics import at_threshold, judged
from tests.factories import make_trace

COST = np.arange(1, 13)
SOME = make_trace(300, 4, skill=0.6)


@pytest.mark.parametrize("rule", ["entropy", "patience", "pcee-3", "f-pabee-2", "mean-ensemble", "random"])
def test_every_point_of_a_curve_is_what_leaving_at_its_threshold_comes_to(rule):
    scores, answers = judged(SOME, rule)
    found = curve(scores, answers == SOME.labels[:, None], COST)
    assert (np.diff(found.cost) > 0).all()
    assert (found.cost[0], found.cost[-1]) == (1, 12)  # whether or not the rule can leave at layer 1
    for point in range(0, len(found.cost), 1 + len(found.cost) // 40):
        outcome = at_threshold(SOME, found.thresholds[point], rule)
        assert found.cost[point] == pytest.approx(outcome.mean_layers, rel=1e-12)
        assert found.accuracy[point] == pytest.approx(outcome.accuracy, rel=1e-12)
    for cost, accuracy in zip(found.cost, found.accuracy, strict=True):
        assert found.at(cost) == accuracy


def test_area_and_elue_by_hand():
    """One sample, right at layers 2 and 3 alone, that can leave at 1 and at 2: (1, 0), (2, 100), (3, 100)."""
    found = curve(np.array([[0.8, 0.4, 0.0]]), np.array([[False, True, True]]), np.array([1, 2, 3]))
    assert (found.cost.tolist(), found.accuracy.tolist()) == ([1, 2, 3], [0, 100, 100])
    assert found.area == pytest.approx(75)
    assert found.at(1.25) == 25
    assert found.thresholds.tolist() == [np.nextafter(0.8, 1), np.nextafter(0.4, 1), 0]
    assert np.isinf(curve(np.array([[1.0, 0.4, 0.0]]), np.zeros((1, 3), bool), np.array([1, 2, 3])).thresholds[0])
    flat = np.array([1.0, 3.0]), np.array([40.0, 60.0])
    assert elue(found, flat, np.array([1.0, 2.0, 3.0])) == pytest.approx((-40 + 50 + 40) / 3)


@given(st.integers(0, 1000))
def test_the_area_is_the_integral_of_the_lines(seed):
    rng = np.random.default_rng(seed)
    found = curve(rng.random((20, 5)), rng.random((20, 5)) < 0.5, np.cumsum(rng.random(5) + 0.1))
    fine = np.linspace(found.cost[0], found.cost[-1], 20_001)
    assert found.area == pytest.approx(found.at(fine).mean(), abs=1e-2)
    lots = found._replace(cost=3 + 7 * found.cost)  # in other units
    assert lots.area == pytest.approx(found.area)


def test_no_rule_reaches_the_oracles_and_they_reach_themselves():
    for bound in ("oracle-label", "oracle-teacher"):
        scores, answers = judged(SOME, bound)
        oracle = scores, answers == SOME.labels[:, None], COST
        for name in ("entropy", "patience", "random"):
            judge = judged(SOME, name)
            assert oracle_gap(curve(judge[0], judge[1] == SOME.labels[:, None], COST), *oracle) > 0
        assert oracle_gap(curve(*oracle), *oracle) == pytest.approx(0)
    best, agreeing = (at_threshold(SOME, 0.5, f"oracle-{of}") for of in ("label", "teacher"))
    assert best.correct.tolist() == SOME.correct.any(axis=1).tolist()
    assert agreeing.answers.tolist() == SOME.predictions[:, -1].tolist()


def test_overthinking_by_hand():
    correct = np.array([[1, 0, 1], [0, 0, 1], [0, 1, 0], [0, 0, 0], [1, 1, 1], [1, 1, 0]], bool)
    assert overthinking(correct) == pytest.approx((100 * 2 / 3, 100 * 2 / 3))
    assert np.isnan(overthinking(np.ones((3, 2), bool)).destructive)
    assert overthinking(np.ones((3, 2), bool)).wasteful == 100


@given(st.integers(0, 1000))
def test_the_auroc_of_failure_is_scikit_learn_s(seed):
    rng = np.random.default_rng(seed)
    scores, correct = rng.integers(9, size=(50, 3)) / 8, rng.random((50, 3)) < 0.7
    correct[:, 2] = True
    found = failure_auroc(scores, correct)
    for layer in (0, 1):
        assert found[layer] == pytest.approx(roc_auc_score(~correct[:, layer], scores[:, layer]))
    assert np.isnan(found[2])


def test_calibration_error_by_hand():
    p = np.array([[[0.9, 0.1]], [[0.92, 0.08]], [[0.6, 0.4]], [[0.5, 0.5]], [[1.0, 0.0]]])
    labels = np.array([0, 1, 0, 1, 0])
    # Bins end at k / 15: 0.9 and 0.92 share one, 0.6 = 9 / 15, 0.5 and 1.0 have one each.
    expected = (abs((0.9 - 1) + (0.92 - 0)) + abs(0.6 - 1) + abs(0.5 - 0) + 0) / 5
    assert calibration_error(p, labels)[0] == pytest.approx(100 * expected)


def test_a_calibrated_model_has_no_error_to_speak_of():
    rng = np.random.default_rng(0)
    p = rng.dirichlet([1, 1, 1], (50_000, 1))
    labels = (p[:, 0].cumsum(axis=-1) < rng.random((len(p), 1))).sum(axis=-1).clip(max=2)
    assert calibration_error(p, labels)[0] < 1
    assert calibration_error(np.sqrt(p) / np.sqrt(p).sum(axis=-1, keepdims=True), labels)[0] > 5
