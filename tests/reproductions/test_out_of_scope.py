"""Texts out of scope: the table's columns by hand, on a few texts of a task that names such a class."""

import numpy as np
import pytest

from fastbert_core.metrics import at_speed
from reproductions.out_of_scope import out_of_scope
from reproductions.statistics import tango, wilson
from reproductions.task_metrics import task_metrics
from tests.factories import BERT, make_trace

CLASSES = ["yes", "no", "oos"]
SURE_NO, NO, OOS = [0.04, 0.95, 0.01], [0.2, 0.6, 0.2], [0.1, 0.1, 0.8]


def of_clinc(samples=300, seed=7):
    traces = []
    for split in ("test", "dev"):
        trace = make_trace(samples, 3, "clinc150", seed=seed, split=split, encoder={**BERT, "layers": 4})
        trace.metadata.update(classes=CLASSES, metrics=["accuracy"])
        traces.append(trace)
    return traces


def test_every_text_at_one_layer_by_hand():
    test, dev = of_clinc(5)
    test.labels[:] = [0, 1, 1, 2, 2]
    test.probabilities[:] = np.array(OOS, np.float32)
    test.probabilities[:, 1] = np.array([SURE_NO, SURE_NO, NO, SURE_NO, NO])
    rows = out_of_scope([test, dev]).set_index(["point", "scope"])
    inside, outside = (rows.loc[("layer=2", scope)] for scope in ("in scope", "out of scope"))
    assert (inside["samples"], outside["samples"]) == (3, 2)
    assert inside["accuracy"] == pytest.approx(200 / 3)
    assert inside["sure_wrong"] == pytest.approx(100 / 3)
    assert (outside["accuracy"], outside["sure_wrong"]) == (0, 50)
    assert (outside["sure_wrong_low"], outside["sure_wrong_high"]) == pytest.approx(100 * np.array(wilson(1, 2)))
    assert outside["more"] == 50  # at all layers nothing is sure
    assert (outside["more_low"], outside["more_high"]) == pytest.approx(100 * np.array(tango(1, 0, 2)))
    # Of the two out of scope one is as unsure as one in scope and less sure than two, the other as sure as two.
    assert outside["scope_auroc"] == pytest.approx((2 + 0.5 + 2 * 0.5) / 6)


def test_thresholds_are_those_of_entropy_in_task_metrics():
    test, dev = of_clinc()
    rows = out_of_scope([test, dev]).set_index(["point", "scope"])
    half = task_metrics([test, dev]).query("rule == 'entropy' and point == 'half of the layers'").iloc[0]
    left = at_speed(test, half["threshold"])
    outside = test.labels == 2
    for scope, which in (("in scope", ~outside), ("out of scope", outside)):
        found = rows.loc[("half of the layers", scope)]
        assert found["accuracy"] == pytest.approx(100 * left.correct[which].mean())
        assert found["mean_layers"] == pytest.approx(left.exit_layer[which].mean())


def test_seeds_are_averaged_and_tasks_without_such_a_class_left_out():
    one, other = of_clinc(seed=7), of_clinc(seed=8)
    alone = [out_of_scope(traces).set_index(["point", "scope"]) for traces in (one, other)]
    both = out_of_scope([*one, *other, make_trace(), make_trace(split="dev")]).set_index(["point", "scope"])
    assert (both["seeds"] == "7;8").all()
    assert set(both["task"]) == {"clinc150"}
    for name in ("accuracy", "sure_wrong", "scope_auroc", "mean_layers"):
        mean = (alone[0][name] + alone[1][name])[both.index] / 2
        np.testing.assert_allclose(both[name].astype(float), mean.astype(float))
