import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from fastbert_core.errors import InputError, RunError
from fastbert_core.exit_rules import exit_layers
from fastbert_core.uncertainty import check_finite, uncertainty


@pytest.mark.parametrize("classes", [2, 5, 14])
def test_one_hot_is_certain_and_uniform_is_not(classes):
    assert uncertainty(np.eye(classes, dtype=np.float32)).tolist() == [0.0] * classes
    assert uncertainty(np.full(classes, 1 / classes, np.float32)) == pytest.approx(1.0, abs=1e-6)


def test_golden_value():
    # Equation 7 by hand: -(0.9 ln 0.9 + 0.1 ln 0.1) / ln 2
    assert uncertainty(np.array([0.9, 0.1])) == pytest.approx(0.4689955935892812, abs=1e-15)


@given(hnp.arrays(np.float64, (4, 6), elements=st.floats(0, 1)).filter(lambda a: (a.sum(1) > 0).all()))
def test_bounded_finite_and_blind_to_class_order(weights):
    p = (weights / weights.sum(axis=1, keepdims=True)).astype(np.float32)
    u = uncertainty(p)
    assert u.dtype == np.float64
    assert np.isfinite(u).all()
    assert ((u >= 0) & (u <= 1)).all()
    np.testing.assert_allclose(uncertainty(p[:, ::-1]), u, atol=1e-12)


def test_one_class_is_refused():
    with pytest.raises(InputError, match="at least 2 classes, found 1"):
        uncertainty(np.ones((3, 1)))


def test_probabilities_that_are_not_finite_end_the_run():
    p = np.full((3, 2), 0.5, np.float32)
    check_finite(p, 4)
    check_finite(p[:0], 4)
    p[1, 0], p[2] = np.nan, np.inf
    with pytest.raises(RunError, match=r"^layer 4: the probabilities of 2 of 3 samples are not finite$"):
        check_finite(p, 4)


def test_a_sample_leaves_strictly_below_the_speed():
    u = np.array([[0.5, 0.4, 0.9], [0.1, 0.0, 0.0], [0.5, 0.5, 0.5]])
    assert exit_layers(u, 0.5).tolist() == [2, 1, 3]
    assert exit_layers(u, 0.0).tolist() == [3, 3, 3]
    assert exit_layers(u, 1.0).tolist() == [1, 1, 1]


def test_the_only_layer_is_the_last():
    assert exit_layers(np.array([[0.9], [0.1]]), 0.5).tolist() == [1, 1]


@given(hnp.arrays(np.float64, (5, 7), elements=st.floats(0, 1)), st.floats(0, 1))
def test_exit_rule_against_a_plain_loop(u, speed):
    expected = [next((i + 1 for i, value in enumerate(row[:-1]) if value < speed), len(row)) for row in u]
    assert exit_layers(u, speed).tolist() == expected
