"""Confidence, the temperature that fits it, and what it leaves alone."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.exit_rules.temperature import WARMEST, fitted_temperature
from reproductions.calibration import at_temperature, calibration, confidence
from tests.factories import binary_trace, make_trace, softmax, trace_of


def fitted(trace):
    return fitted_temperature(trace.probabilities[:, -1], trace.labels)


def calibrated(samples=20_000, classes=4, layers=3, seed=0):
    """A trace whose labels are drawn from the probabilities of its last layer."""
    rng = np.random.default_rng(seed)
    p = softmax(rng.normal(0, 1.5, (samples, layers, classes)))
    labels = (p[:, -1].cumsum(axis=-1) < rng.random((samples, 1))).sum(axis=-1).clip(max=classes - 1)
    return trace_of(p, labels)


def test_a_calibrated_teacher_is_as_sure_as_it_is_right():
    trace = calibrated()
    right = 100 * trace.correct[:, -1].mean()
    assert confidence(trace) == pytest.approx(right, abs=1.0)
    assert confidence(at_temperature(trace, 2.0)) < right - 10
    assert confidence(at_temperature(trace, 0.5)) > right + 10


def test_a_teacher_that_is_always_right_takes_the_coldest_temperature():
    trace = binary_trace(np.full((50, 2), 0.6), np.full((50, 2), True))
    assert fitted(trace) == pytest.approx(1 / WARMEST, rel=0.05)


@given(temperature=st.floats(1 / WARMEST, WARMEST), seed=st.integers(0, 10))
def test_a_temperature_changes_how_sure_a_classifier_is_and_nothing_else(temperature, seed):
    trace = make_trace(30, classes=3, seed=seed)
    other = at_temperature(trace, temperature)
    assert other.probabilities.dtype == np.float32
    np.testing.assert_allclose(other.probabilities.sum(axis=-1), 1.0, atol=1e-5)
    assert (
        other.probabilities.max(axis=-1)
        == np.take_along_axis(other.probabilities, trace.predictions[..., None], axis=-1)[..., 0]
    ).all()
    surer = other.uncertainties <= trace.uncertainties + 1e-6
    assert surer.all() if temperature <= 1 else (other.uncertainties >= trace.uncertainties - 1e-6).all()


def test_a_probability_of_0_keeps_a_temperature_finite():
    p = np.tile([[[1.0, 0.0]]], (4, 2, 1))
    trace = trace_of(p, np.array([0, 0, 0, 1]))
    assert np.isfinite(at_temperature(trace, fitted(trace)).probabilities).all()


def test_the_table_tells_who_is_less_sure_than_right_and_how_much_longer_its_samples_stay():
    def task(name, temperature):
        test, dev = calibrated(4000), calibrated(500, seed=1)
        for trace, split in ((test, "test"), (dev, "dev")):
            trace.metadata.update(task=name, split=split, seed=7)
        return [at_temperature(test, temperature), at_temperature(dev, temperature)]

    table = calibration([*task("ag-news", 1.0), *task("dbpedia", 3.0), *task("yahoo", 0.4)]).set_index("task")
    as_is, fitted = table[table["fitted"] == "no"], table[table["fitted"] == "yes"]
    off = as_is["confidence"] - as_is["accuracy"]
    assert abs(off["ag-news"]) < 2
    assert off["dbpedia"] < -5
    assert off["yahoo"] > 5
    assert (as_is["temperature"] == 1).all()
    assert as_is.loc["dbpedia", "mean_layers"] > fitted.loc["dbpedia", "mean_layers"] + 0.1
    assert as_is.loc["yahoo", "mean_layers"] < fitted.loc["yahoo", "mean_layers"] - 0.1
    # The three differ in their temperature alone.
    for column in ("mean_layers", "accuracy_at_speed", "confidence"):
        np.testing.assert_allclose(fitted[column], fitted.loc["ag-news", column], atol=0.02)


def test_a_temperature_is_not_taken_from_the_dev_trace_of_another_seed():
    assert calibration([make_trace(), make_trace(split="dev", seed=8)]).empty
