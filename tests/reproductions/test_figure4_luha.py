"""The LUHA checker on classifiers of which the hypothesis is true, false, reversed, and true only by chance."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import roc_auc_score

from fastbert_core.uncertainty import uncertainty
from reproductions import figure4_luha, reported, statistics
from reproductions.figure4_luha import EDGES, NAMES, check, luha, verdict
from reproductions.statistics import Trend, spearman, wilson
from tests.factories import binary_trace, make_trace

FIGURE4 = reported.load("figure4_luha")


def trace_where(accuracy, samples=4000, layers=12, seed=0):
    """A trace whose accuracy is `accuracy(uncertainty)` in every layer; unsure and sure samples alike in number."""
    rng = np.random.default_rng(seed)
    confidence = 0.5 + 0.5 * rng.random((samples, layers)) ** 0.5
    unsure = uncertainty(np.stack([confidence, 1 - confidence], axis=-1))
    return binary_trace(confidence, rng.random((samples, layers)) < accuracy(unsure))


def verdicts(trace):
    table = check(trace)
    return table.loc[table["bin"] == "all", "verdict"].tolist()


def test_it_holds_where_accuracy_falls_with_uncertainty():
    assert verdicts(trace_where(lambda u: 0.98 - 0.4 * u)) == ["holds"] * 12


def test_it_fails_where_accuracy_rises_with_uncertainty():
    assert verdicts(trace_where(lambda u: 0.58 + 0.4 * u)) == ["fails"] * 12


def test_it_fails_where_accuracy_falls_but_for_one_rise():
    # A significant falling trend, and yet samples of 0.6 to 0.7 are far better than those of 0.5 to 0.6.
    trace = trace_where(lambda u: np.where((u > 0.5) & (u < 0.6), 0.4, 0.98 - 0.4 * u))
    assert verdicts(trace) == ["fails"] * 12
    rows = check(trace).query("layer == 1")
    assert rows.query("bin == 'all'")["trend_z"].item() < 0
    assert rows.query("bin == 'all'")["trend_p"].item() < 0.05
    assert rows.set_index("bin").loc["0.6-0.7", "rise_p"] < 0.05
    assert rows.set_index("bin").loc["0.5-0.6", "rise_p"] == 1


def test_it_is_undecided_where_uncertainty_says_nothing():
    assert verdicts(trace_where(lambda u: np.full_like(u, 0.8), seed=1)) == ["undecided"] * 12


def test_a_trend_that_chance_alone_made_does_not_hold(monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 1000)  # enough for Holm's 0.05 / 12
    monkeypatch.setattr(figure4_luha, "RESAMPLES", 200)
    # Twelve classifiers that know nothing: uncorrected, a falling trend would be "found" in every third trace.
    found, uncorrected = 0, 0
    for seed in range(20):
        table = check(trace_where(lambda u: np.full_like(u, 0.8), samples=400, seed=seed)).query("bin == 'all'")
        found += (table["verdict"] != "undecided").any()
        uncorrected += (table["trend_z"] < -1.96).any()
    assert uncorrected >= 3
    assert found <= 3  # of 20: 5% for the trends, and as much for the rises


def test_a_weak_trend_in_few_samples_is_undecided_and_decided_in_many():
    assert verdicts(trace_where(lambda u: 0.85 - 0.1 * u, samples=200)) == ["undecided"] * 12
    assert verdicts(trace_where(lambda u: 0.85 - 0.1 * u, samples=40_000, layers=2)) == ["holds"] * 2


def test_a_classifier_that_is_always_right_shows_no_trend():
    table = check(trace_where(np.ones_like, layers=2)).query("bin == 'all'")
    assert table["verdict"].tolist() == ["undecided"] * 2
    assert table[["spearman", "auroc", "trend_z", "trend_p"]].isna().all(axis=None)
    assert table["accuracy"].tolist() == [100, 100]


def test_a_classifier_that_is_always_sure_shows_no_trend():
    sure = binary_trace(np.ones((50, 2)), np.arange(100).reshape(50, 2) % 3 > 0)
    table = check(sure)
    assert table.query("bin == 'all'")["verdict"].tolist() == ["undecided"] * 2
    assert table.query("bin == '0.0-0.1'")["samples"].tolist() == [50, 50]
    assert table.query("bin == '0.5-0.6'")["accuracy"].isna().all()


@pytest.mark.parametrize(
    ("trend", "rises", "expected"),
    [
        (Trend(-5, 0.001), [1.0, np.nan], "holds"),
        (Trend(-5, 0.001), [0.04, 1.0], "fails"),
        (Trend(5, 0.001), [1.0], "fails"),
        (Trend(5, 0.06), [1.0], "undecided"),
        (Trend(-5, 0.06), [1.0], "undecided"),
        (Trend(-5, 0.06), [0.01], "fails"),
        (Trend(np.nan, np.nan), [np.nan], "undecided"),
        (Trend(-5, 0.001), [], "holds"),
    ],
)
def test_the_verdict_is_as_defined(trend, rises, expected):
    assert verdict(trend, np.array(rises)) == expected


def test_every_number_of_a_classifier_by_plain_counting():
    trace = make_trace(500)
    table = check(trace)
    assert len(table) == 12 * 11
    for layer in (1, 6, 12):
        rows = table[table["layer"] == layer].set_index("bin")
        unsure, right = trace.uncertainties[:, layer - 1], trace.correct[:, layer - 1]
        for index, name in enumerate(NAMES):
            low, high = index / 10, (index + 1) / 10
            inside = (unsure >= low) & ((unsure < high) | (high == 1))
            row = rows.loc[name]
            assert row["samples"] == inside.sum()
            assert row["percent"] == pytest.approx(100 * inside.mean())
            assert pd.notna(row["note"]) == (inside.sum() < 30)
            if inside.any():
                assert row["accuracy"] == pytest.approx(100 * right[inside].mean())
                interval = wilson(right[inside].sum(), inside.sum())
                assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(100 * e for e in interval))
        whole = rows.loc["all"]
        assert whole["samples"] == 500
        assert whole["accuracy"] == pytest.approx(100 * right.mean())
        assert whole["spearman"] == pytest.approx(spearman(unsure, right))
        assert whole["auroc"] == pytest.approx(roc_auc_score(~right, unsure))
        assert (rows["percent"] * rows["accuracy"].fillna(0) / 100)[NAMES].sum() == pytest.approx(whole["accuracy"])
    assert table.groupby("layer")["classifier"].first().tolist() == ["student"] * 11 + ["teacher"]


def test_the_ends_of_the_bins():
    uncertainties = np.array([0.0, 0.0999, 0.1, 0.3, 0.7, 0.95, 1.0])
    assert np.digitize(uncertainties, EDGES).tolist() == [0, 0, 1, 3, 7, 9, 9]


def test_the_papers_30_numbers_stand_beside_ours():
    table = luha([make_trace(200), make_trace(200, seed=8), make_trace(200, task="dbpedia")], FIGURE4)
    assert table.groupby(["task", "seed"]).size().tolist() == [132, 132, 132]
    beside = table.dropna(subset="reported_accuracy")
    assert len(beside) == 2 * 30
    assert set(beside["task"]) == {"book-review"}
    assert set(beside["layer"]) == {1, 6, 12}  # the paper's students 0 and 5, and the teacher
    numbers = beside[beside["seed"] == 7].set_index(["layer", "bin"])["reported_accuracy"]
    assert numbers[1, "0.0-0.1"] == 98.92
    assert numbers[6, "0.9-1.0"] == 57.18
    assert numbers[12, "0.0-0.1"] == 95.75


def test_only_finished_fastberts_are_checked():
    others = [
        make_trace(50, split="dev"),
        make_trace(50, training="labels"),
        make_trace(50, training="distilbert-6", layers=[6]),
        make_trace(50, split="dev", epoch=4, stage="self-distillation"),
    ]
    assert luha(others, FIGURE4).empty
    pd.testing.assert_frame_equal(luha([*others, make_trace(50)], FIGURE4), luha([make_trace(50)], FIGURE4))
