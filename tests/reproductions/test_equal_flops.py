"""FastBERT at another model's FLOPs: what it is held against, and that it never pays more."""

import numpy as np
import pytest

from fastbert_core.flops import paper_flops
from fastbert_core.metrics import at_flops, at_speed, dense
from reproductions.equal_flops import ALL_DEPTHS, DISTILBERT, ON_LABELS, ONE_STUDENT, equal_flops
from reproductions.statistics import holm, mcnemar
from tests.factories import make_task, make_trace


@pytest.fixture(scope="module")
def traces():
    return make_task(samples=300)


@pytest.fixture(scope="module")
def table(traces):
    return equal_flops(traces).set_index(["against", "against_setting"])


def test_distilbert_is_met_at_its_own_flops(traces, table):
    student = next(t for t in traces if t.metadata["training"] == "distilbert-3")
    row = table.loc[(DISTILBERT, "3 layers")]
    assert row["accuracy"] == at_flops(traces[0], dense(student).flops).accuracy
    assert row["against_accuracy"] == dense(student).accuracy
    assert row["difference"] == pytest.approx(row["accuracy"] - row["against_accuracy"])
    assert row["difference_low"] < row["difference"] < row["difference_high"]
    assert list(table.loc[DISTILBERT].index) == ["6 layers", "3 layers", "1 layers"]


def test_students_stand_alone_and_the_best_on_dev_is_named(traces, table):
    dev = next(t for t in traces if t.metadata["split"] == "dev" and "epoch" not in t.metadata)
    best = 1 + int(np.argmax(dev.correct[:, :11].mean(axis=0)))
    rows = table.loc[ONE_STUDENT]
    assert len(rows) == 11
    assert [name for name in rows.index if name.endswith("chosen on dev")] == [f"layer={best} chosen on dev"]
    row = rows.loc[f"layer={best} chosen on dev"]
    assert row["against_accuracy"] == dense(traces[0], best).accuracy
    equal = at_flops(traces[0], dense(traces[0], best).flops)
    assert equal.flops <= 1e6 * row["mflops"]
    assert row["accuracy"] == equal.accuracy


def test_p_values_are_corrected_over_the_rows_against_one_model(traces, table):
    students = [t for t in traces if t.metadata["training"].startswith("distilbert")]
    alone = [mcnemar(at_flops(traces[0], dense(t).flops).correct, dense(t).correct) for t in students]
    np.testing.assert_allclose(table.loc[DISTILBERT, "mcnemar_p_holm"], holm(alone))


def test_the_training_on_labels_is_met_at_its_speeds_and_over_all_depths(traces, table):
    on_labels = next(t for t in traces if t.metadata["training"] == "labels")
    rows = table.loc[ON_LABELS]
    assert list(rows.index) == ["speed=0.2", "speed=0.7", ALL_DEPTHS]
    assert rows.loc["speed=0.2", "against_accuracy"] == at_speed(on_labels, 0.2).accuracy
    unit = paper_flops(on_labels.shape, 1)
    curves = [[at_flops(t, depth * unit).accuracy for depth in range(1, 13)] for t in (traces[0], on_labels)]
    area = rows.loc[ALL_DEPTHS]
    assert area["difference"] == pytest.approx(np.mean(curves[0]) - np.mean(curves[1]))
    assert area["difference_low"] < area["difference"] < area["difference_high"]
    assert np.isnan(area["mcnemar_p"])


def test_a_better_training_wins_by_the_area():
    good, bad = make_trace(3000), make_trace(3000, skill=0.3, training="labels")
    table = equal_flops([good, bad]).set_index("against_setting")
    assert table.loc[ALL_DEPTHS, "difference_low"] > 0
    swapped = equal_flops([make_trace(3000, skill=0.3), make_trace(3000, training="labels")])
    assert swapped.set_index("against_setting").loc[ALL_DEPTHS, "difference_high"] < 0


def test_seeds_that_only_one_side_has_are_left_out():
    traces = [make_trace(60, skill=0.3), make_trace(60, seed=8), make_trace(60, seed=8, training="labels")]
    rows = equal_flops(traces).query("against == @ON_LABELS")
    assert set(rows["seeds"]) == {"8"}
    np.testing.assert_allclose(rows["accuracy"] - rows["against_accuracy"], rows["difference"])
    assert equal_flops([make_trace(60), make_trace(60, seed=8, training="labels")]).query("against == @ON_LABELS").empty
