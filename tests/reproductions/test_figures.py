"""The figures' data against plain loops over the traces, and the paper's numbers beside them."""

import numpy as np
import pytest

from fastbert_core.errors import InputError
from fastbert_core.metrics import at_speed, dense
from reproductions import reported
from reproductions.figure3_speed_accuracy import MODELS, speed_accuracy
from reproductions.figure5_exit_layers import exit_layers
from reproductions.figure6_uncertainty import uncertainty_distribution
from reproductions.figure7_convergence import convergence
from reproductions.statistics import accuracy_interval, wilson
from tests.factories import make_task, make_trace

FIGURE3, FIGURE5, FIGURE7 = (
    reported.load(name) for name in ("figure3_speed_accuracy", "figure5_exit_layers", "figure7_convergence")
)


def test_the_curve_of_one_run():
    trace = make_trace(300)
    table = speed_accuracy([trace], FIGURE3)
    assert table["speed"].tolist() == [round(k / 100, 2) for k in range(101)]
    row = table[table["speed"] == 0.35].iloc[0]
    outcome = at_speed(trace, 0.35)
    assert row["accuracy"] == row["accuracy_min"] == row["accuracy_max"] == pytest.approx(outcome.accuracy)
    assert row["mean_layers"] == pytest.approx(outcome.mean_layers)
    assert row["speedup"] == pytest.approx(outcome.speedup)
    expected = wilson(outcome.correct.sum(), 300)
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(100 * end for end in expected))
    assert (row["seeds"], row["run_id"]) == ("7", trace.metadata["run_id"])


def test_the_papers_20_points_stand_beside_ours():
    table = speed_accuracy([make_trace(100)], FIGURE3).dropna(subset="reported_accuracy")
    assert table["speed"].tolist() == [k / 100 for k in range(11)] + [k / 10 for k in range(2, 11)]
    assert table.set_index("speed").loc[0.5, "reported_speedup"] == 4.21


def test_the_curve_of_several_seeds_is_their_average():
    traces = [make_trace(200, seed=seed) for seed in (7, 8, 9)]
    table = speed_accuracy(traces, FIGURE3)
    assert len(table) == 101
    row, outcomes = table[table["speed"] == 0.6].iloc[0], [at_speed(trace, 0.6) for trace in traces]
    accuracies = [outcome.accuracy for outcome in outcomes]
    assert row["accuracy"] == pytest.approx(np.mean(accuracies))
    assert (row["accuracy_min"], row["accuracy_max"]) == pytest.approx((min(accuracies), max(accuracies)))
    assert row["mflops"] == pytest.approx(np.mean([outcome.flops for outcome in outcomes]) / 1e6)
    assert row["speedup"] == pytest.approx(21785.247744 / row["mflops"])
    expected = accuracy_interval(np.stack([outcome.correct for outcome in outcomes]))
    assert (row["accuracy_low"], row["accuracy_high"]) == pytest.approx(tuple(100 * end for end in expected))
    assert row["seeds"] == "7;8;9"
    assert row["run_id"].count(";") == 2


def test_variants_have_curves_of_their_own_without_the_papers_points():
    table = speed_accuracy(make_task(samples=60), FIGURE3)
    assert set(table["model"]) == set(MODELS.values())
    assert set(table.dropna(subset="reported_accuracy")["model"]) == {"FastBERT"}


def test_seeds_on_other_samples_are_refused():
    with pytest.raises(
        InputError, match="found other samples than in the trace of book-review, self-distillation, seed 7"
    ):
        speed_accuracy([make_trace(100), make_trace(90, seed=8)], FIGURE3)


def test_exit_layers_by_counting():
    traces = [make_trace(300), make_trace(300, seed=8)]
    table = exit_layers(traces, FIGURE5)
    assert len(table) == 3 * 12
    for speed, rows in table.groupby("speed"):
        exits = np.concatenate([at_speed(trace, speed).exit_layer for trace in traces])
        assert rows["percent"].tolist() == pytest.approx([100 * (exits == k).mean() for k in range(1, 13)])
        assert rows["mean_layers"].unique() == pytest.approx([exits.mean()])
        assert rows["median_layers"].unique() == [np.median(exits)]
    first = table.set_index(["speed", "exit_layer"])["reported_percent"]
    assert first[0.8, 1] == 61.54  # counted from 0 in the paper
    assert first[0.3, 12] == 3.12


def test_uncertainties_of_the_samples_that_reach_each_layer():
    trace = make_trace(300)
    table = uncertainty_distribution([trace])
    assert (table["samples"] > 0).all(), "a bin without samples has no row"
    for speed in (0.0, 0.3, 0.5, 0.8):
        exits = at_speed(trace, speed).exit_layer
        for layer in (1, 2, 7, 12):
            reaching = trace.uncertainties[exits >= layer, layer - 1]
            mine = table.query("speed == @speed and layer == @layer").set_index("bin_low")
            assert mine["samples"].sum() == len(reaching)
            assert mine["samples"].get(0.2, 0) == ((reaching >= 0.2) & (reaching < 0.25)).sum()
            assert mine["samples"].get(0.95, 0) == (reaching >= 0.95).sum()
            assert mine["percent"].sum() == pytest.approx(100 if len(reaching) else 0)
    # A sample of uncertainty below 0.5 has left: none of the layer before is there to see in the next one.
    assert table.query("speed == 0 and layer == 12")["samples"].sum() == 300


def test_a_layer_that_no_sample_reaches_has_no_rows():
    assert uncertainty_distribution([make_trace(40, skill=50.0)]).query("speed == 0.8 and layer == 12").empty


def test_convergence_runs_the_teacher_first_and_then_everything():
    traces = make_task(samples=80)
    table = convergence(traces, FIGURE7)
    assert table["epoch"].tolist() == list(range(9))
    assert table["stage"].tolist() == ["fine-tuning"] * 4 + ["self-distillation"] * 5
    assert table["stage_epoch"].tolist() == [0, 1, 2, 3, 1, 2, 3, 4, 5]
    kept = {trace.metadata["epoch"]: trace for trace in traces if "epoch" in trace.metadata}
    assert table["accuracy"][2] == pytest.approx(dense(kept[2]).accuracy)
    assert table["mflops"][2] == pytest.approx(21785.247744)
    assert table["accuracy"][6] == pytest.approx(at_speed(kept[6], 0.5).accuracy)
    assert table["mflops"][6] == pytest.approx(at_speed(kept[6], 0.5).flops / 1e6)
    assert table["speed"].tolist()[3:5] == [pytest.approx(np.nan, nan_ok=True), 0.5]
    assert table["reported_accuracy"].tolist() == FIGURE7["accuracy"].tolist()


def test_convergence_compares_epochs_of_one_stage_whatever_the_schedule():
    options = {"samples": 40, "split": "dev"}
    traces = [make_trace(**options, epoch=e, stage="fine-tuning", layers=[12]) for e in range(3)]
    traces += [make_trace(**options, epoch=e, stage="self-distillation") for e in (3, 4)]
    table = convergence(traces, FIGURE7)
    assert table["stage_epoch"].tolist() == [0, 1, 2, 1, 2]
    assert table["reported_accuracy"].tolist() == [51.0, 86.12, 86.69, 86.98, 86.91]
    assert table["reported_mflops"].tolist() == [21785, 21785, 21785, 6300, 5771]


def test_nothing_to_draw_gives_empty_tables():
    dev = [make_trace(20, split="dev")]
    for table in (
        speed_accuracy(dev, FIGURE3),
        exit_layers(dev, FIGURE5),
        uncertainty_distribution(dev),
        convergence(dev, FIGURE7),
    ):
        assert table.empty
