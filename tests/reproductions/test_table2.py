"""Table 2's rows, verdicts and notes, and the comparisons: recomputed by hand from the traces."""

from functools import partial

import numpy as np
import pytest
from scipy import stats

from fastbert_core.metrics import at_speed, dense
from reproductions.compare import Averaged, paired
from reproductions.paper_rows import Paper, compared_tasks, paper_row
from reproductions.statistics import Interval, holm, mover, paired_interval, wilson
from reproductions.table2 import chosen_speed, comparisons, models_of, table2
from tests.factories import BERT, binary_trace, make_task, make_trace, run_row, runs_of

SETTINGS = ["12 layers", "6 layers", "3 layers", "1 layers", "speed=0.1", "speed=0.5", "speed=0.8"]
PAPER = Paper.load({"book-review", "weibo", "dbpedia", "yelp-polarity", "shopping-review"})


def rows_of(traces, paper=PAPER, **changes):
    table = table2(traces, runs_of(traces, **changes), paper).astype(object)
    table = table.where(table.notna(), None)
    return {(row["model"], row["setting"]): row for _, row in table.iterrows()}


def right_in(accuracy, samples=10_000, **metadata):
    """A trace that is right in the given share of the test set, in every layer, and never sure."""
    correct = np.repeat((np.arange(samples) < round(accuracy / 100 * samples))[:, None], 12, axis=1)
    return binary_trace(np.random.default_rng(0).uniform(0.55, 0.65, correct.shape), correct, **metadata)


def test_a_task_has_the_papers_seven_rows_and_the_one_chosen_on_dev():
    rows = rows_of(make_task(samples=60))
    assert [setting for _, setting in rows][:7] == SETTINGS
    assert [model for model, _ in rows] == ["BERT", *["DistilBERT"] * 3, *["FastBERT"] * 4]
    assert list(rows)[7][1].endswith("chosen on dev")


def test_the_rows_numbers_are_the_traces():
    traces = make_task(samples=200)
    rows = rows_of(traces)
    test, distilbert = traces[0], next(t for t in traces if t.metadata["training"] == "distilbert-3")
    assert rows["BERT", "12 layers"]["accuracy"] == pytest.approx(dense(test).accuracy)
    assert rows["BERT", "12 layers"]["mflops"] == pytest.approx(21785.247744)
    assert rows["BERT", "12 layers"]["speedup"] == 1
    assert rows["DistilBERT", "3 layers"]["accuracy"] == pytest.approx(dense(distilbert).accuracy)
    # Against our dense teacher of 12 layers, though the student's own encoder has 3.
    assert rows["DistilBERT", "3 layers"]["speedup"] == pytest.approx(21785.247744 / (3 * 1811.939328 + 41.975808))
    assert rows["FastBERT", "speed=0.5"]["accuracy"] == pytest.approx(at_speed(test, 0.5).accuracy)
    assert rows["FastBERT", "speed=0.5"]["speedup"] == pytest.approx(at_speed(test, 0.5).speedup)
    printed = rows["FastBERT", "speed=0.5"]
    reported = printed["reported_accuracy"], printed["reported_mflops"], printed["reported_speedup"]
    assert reported == (86.64, 5170, 4.21)


def test_students_that_were_not_trained_have_no_row():
    rows = rows_of([make_trace(50)])
    assert list(rows) == [("BERT", "12 layers"), *[("FastBERT", f"speed={s}") for s in (0.1, 0.5, 0.8)]]


@pytest.mark.parametrize(
    ("accuracy", "verdict"), [(86.88, "not worse"), (88.2, "not worse"), (86.5, "inconclusive"), (85.5, "worse")]
)
def test_the_absolute_verdict_follows_from_both_test_sets(accuracy, verdict):
    row = rows_of([right_in(accuracy)])["BERT", "12 layers"]
    assert row["verdict"] == verdict
    ours, theirs = (Interval(*wilson(100 * percent, 10_000)) for percent in (accuracy, 86.88))
    expected = mover(accuracy / 100, ours, 0.8688, theirs)
    assert (row["difference_low"], row["difference_high"]) == pytest.approx(tuple(100 * end for end in expected))
    assert row["difference_low"] < row["correlated_low"] < row["correlated_high"] < row["difference_high"]
    assert row["verdict_relative"] is None


@pytest.mark.parametrize(
    ("trace", "changes", "note"),
    [
        (right_in(86.88), {"train_rows": 6000}, "6000 training rows, the paper has 20000"),
        (right_in(86.88, 2000), {}, "another test set (2000 rows, the paper's has 10000)"),
        (
            right_in(97.69, task="weibo"),
            {"train_rows": 100_000},
            "another test set (the paper's split was never published)",
        ),
    ],
)
def test_other_data_do_not_compare(trace, changes, note):
    row = rows_of([trace], **changes)["BERT", "12 layers"]
    assert row["verdict"] == "not comparable"
    assert row["note"] == note
    assert row["difference_low"] is None
    assert row["reported_accuracy"] is not None


def test_rows_that_stand_in_the_test_set_are_counted_in_the_note():
    row = rows_of([right_in(86.88)], overlap_rows=994.0)["BERT", "12 layers"]  # a float where another run has none
    assert row["note"] == "994 training rows left out, their texts stand in the test set"
    assert rows_of([right_in(86.88)], overlap_rows=0)["BERT", "12 layers"]["note"] is None
    # They are rows that a run may not learn from, not rows that it lacks.
    all_others = rows_of([right_in(86.88)], train_rows=19_006, overlap_rows=994.0)["BERT", "12 layers"]
    fewer = rows_of([right_in(86.88)], train_rows=19_006, overlap_rows=993.0)["BERT", "12 layers"]
    assert (all_others["verdict"], fewer["verdict"]) == ("not worse", "not comparable")


def test_rows_of_one_text_are_counted_in_the_note():
    row = rows_of([right_in(86.88, same_text_rows=249)])["BERT", "12 layers"]
    assert row["note"] == "249 test rows are one text to the encoder and count once"


def test_dev_rows_held_out_of_the_papers_training_rows_count_where_it_names_no_dev_set():
    trace = make_trace(7600, task="ag-news", classes=4)
    paper = Paper.load({"ag-news"})
    whole = rows_of([trace], paper, train_rows=118_000, dev_rows=1000, backbone="bert-base-uncased")
    assert whole["BERT", "12 layers"]["verdict"] in ("not worse", "worse", "inconclusive")
    fewer = rows_of([trace], paper, train_rows=117_999, dev_rows=1000, backbone="bert-base-uncased")
    assert fewer["BERT", "12 layers"]["note"] == "117999 training rows, the paper has 120000"
    # Where it names one, as for book-review, they do not.
    chinese = rows_of([right_in(86.88)], train_rows=19_999, dev_rows=2000)
    assert chinese["BERT", "12 layers"]["verdict"] == "not comparable"


def test_another_encoder_is_named_and_compares():
    row = rows_of([right_in(86.88)], backbone="zh-bert-base-12x768")["BERT", "12 layers"]
    assert row["verdict"] == "not worse"
    assert row["note"] == "encoder zh-bert-base-12x768, the paper's is bert-base-chinese"
    assert rows_of([right_in(86.88)], backbone="bert-base-chinese")["BERT", "12 layers"]["note"] is None


def test_distilberts_note_says_where_the_student_came_from():
    traces = [
        make_trace(50),
        make_trace(50, training="distilbert-6", encoder={**BERT, "layers": 6}, layers=[6]),
    ]
    assert "student of the fine-tuned teacher's layers" in rows_of(traces)["DistilBERT", "6 layers"]["note"]


def test_misprints_stand_in_the_note_with_their_arithmetic():
    rows = rows_of(make_task("shopping-review", samples=50))
    assert "misprinted speedup 10.04, by arithmetic 10.43: 21785.25 / 2087" in rows["FastBERT", "speed=0.8"]["note"]
    assert rows["FastBERT", "speed=0.8"]["reported_speedup"] == 10.04  # as printed
    assert "mflops 5428, by arithmetic 5482" in rows["DistilBERT", "3 layers"]["note"]


def test_a_doubtful_accuracy_gets_the_verdict_misprint():
    trace = make_trace(50, task="yelp-polarity")
    teacher, used = (Averaged([trace], use) for use in (dense, partial(at_speed, speed=0.7)))
    row = paper_row("FastBERT", "speed=0.7", used, teacher, runs_of([trace]), PAPER)
    assert (row["verdict"], row["verdict_relative"]) == ("misprint", None)
    assert row["reported_accuracy"] == 94.67


def test_the_relative_verdict_compares_losses_at_the_papers_layers():
    rows = rows_of([trace := make_trace(1000)])
    row = rows["FastBERT", "speed=0.5"]
    assert row["paper_layers"] == pytest.approx(5170 / 1853.915136)
    assert row["reported_loss"] == pytest.approx(86.88 - 86.64)
    # The slowest speed that executes no more than the paper's 2.789 layers, found by trying.
    speeds = np.unique(trace.uncertainties)
    speed = next(s for s in speeds if at_speed(trace, s).mean_layers <= row["paper_layers"])
    right = at_speed(trace, speed).correct
    assert row["relative_loss"] == pytest.approx(100 * (trace.correct[:, 11].mean() - right.mean()))
    low, high = (100 * end for end in paired_interval(trace.correct[None, :, 11], right[None]))
    assert (row["relative_loss_low"], row["relative_loss_high"]) == pytest.approx((low, high))
    assert row["excess_loss"] == pytest.approx(row["relative_loss"] - row["reported_loss"])
    assert row["verdict_relative"] in ("worse", "inconclusive")  # of 1,000 samples no margin of 0.5 can be held


def test_the_relative_verdict_both_ways():
    always_right = rows_of([right_in(90)])  # whatever the layer, so nothing is lost
    assert {always_right["FastBERT", s]["verdict_relative"] for s in SETTINGS[4:]} == {"not worse"}
    correct = np.arange(10_000)[:, None] < np.array([*[6000] * 11, 9000])  # students lose 30 points of the teacher's 90
    worse = binary_trace(np.full(correct.shape, 0.6), correct)
    lossy = rows_of([worse])
    assert lossy["FastBERT", "speed=0.5"]["verdict_relative"] == "worse"
    assert lossy["FastBERT", "speed=0.5"]["relative_loss"] > 5


def test_a_small_test_set_makes_no_verdict_kinder():
    """Under "the interval contains the paper's loss" fewer samples reproduced more rows; now they prove fewer."""
    proven = []
    for samples in (10_000, 1000, 100):
        rows = rows_of([right_in(90, samples)])
        proven.append(sum(rows["FastBERT", setting]["verdict_relative"] == "not worse" for setting in SETTINGS[4:]))
    assert proven[0] == 3 > proven[2] == 0
    assert proven == sorted(proven, reverse=True)


def test_the_corrected_flops_decide_where_the_printed_ones_are_misprinted():
    trace = make_trace(200, task="yelp-polarity")
    teacher, used = (Averaged([trace], use) for use in (dense, partial(at_speed, speed=0.2)))
    row = paper_row("FastBERT", "speed=0.2", used, teacher, runs_of([trace]), PAPER)
    assert row["reported_mflops"] == 52783
    assert row["paper_layers"] == pytest.approx(5278 / 1853.915136)


@pytest.mark.parametrize("profile", ["smoke", "packaged"])
def test_generated_text_is_never_held_against_the_paper(profile):
    traces = [right_in(86.88)]
    runs = runs_of(traces, profile=profile, data_source="generated text (seed 7)")
    assert compared_tasks(traces, runs) == set()
    rows = table2(traces, runs, Paper.load(compared_tasks(traces, runs)))
    assert set(rows["verdict"]) == {"not comparable"}
    assert rows[["reported_accuracy", "reported_mflops", "verdict_relative"]].isna().all(axis=None)
    assert set(rows["note"]) == {"generated text (seed 7)"}


def test_an_encoder_of_another_depth_is_not_held_against_the_paper():
    shallow = make_trace(50, encoder={**BERT, "layers": 6})
    assert compared_tasks([shallow], runs_of([shallow])) == set()
    assert compared_tasks([make_trace(50)], runs_of([make_trace(50)])) == {"book-review"}


def test_a_task_of_the_users_own_has_rows_without_the_papers_columns():
    rows = rows_of(make_task("my-task", samples=60, classes=3))
    assert len(rows) == 8
    for row in rows.values():
        assert row[["reported_accuracy", "verdict", "verdict_relative", "paper_layers"]].isna().all()
        assert row["accuracy"] > 0


def test_several_seeds_make_one_row():
    traces = make_task(samples=150, seeds=(7, 8, 9))
    row = rows_of(traces)["FastBERT", "speed=0.5"]
    accuracies = [
        at_speed(t, 0.5).accuracy
        for t in traces
        if t.metadata["training"] == "self-distillation" and t.metadata["split"] == "test"
    ]
    assert len(accuracies) == 3
    assert row["seeds"] == "7;8;9"
    assert row["accuracy"] == pytest.approx(np.mean(accuracies))
    assert (row["accuracy_min"], row["accuracy_max"]) == pytest.approx((min(accuracies), max(accuracies)))
    assert row["accuracy_low"] < row["accuracy"] < row["accuracy_high"]


def test_seeds_that_differ_make_an_absolute_verdict_less_sure():
    alike, apart = (
        rows_of([right_in(percent, seed=seed, run_id=str(seed)) for seed, percent in enumerate(shares, 7)])
        for shares in ((86.88, 86.88), (84.88, 88.88))
    )
    alike, apart = alike["BERT", "12 layers"], apart["BERT", "12 layers"]
    assert alike["accuracy"] == apart["accuracy"]
    assert (alike["verdict"], apart["verdict"]) == ("not worse", "inconclusive")
    assert apart["difference_low"] < alike["difference_low"] - 1


def test_the_worst_of_several_runs_decides_whether_their_data_compare():
    traces = [right_in(86.88), right_in(86.88, seed=8, run_id="other")]
    runs = runs_of(traces)
    runs.loc[1, "train_rows"] = 4000
    rows = table2(traces, runs, PAPER)
    assert set(rows["verdict"].dropna()) == {"not comparable"}


def test_the_chosen_speed_is_the_fastest_within_half_a_point():
    dev = [make_trace(500, split="dev", seed=seed) for seed in (7, 8)]
    speed = chosen_speed(dev)
    teacher = np.mean([dense(trace).accuracy for trace in dev])

    def accuracy(at):
        return np.mean([at_speed(trace, at).accuracy for trace in dev])

    assert accuracy(speed) >= teacher - 0.5
    assert all(accuracy(faster / 100) < teacher - 0.5 for faster in range(round(speed * 100) + 1, 101))


def test_the_chosen_speed_is_measured_on_test_and_says_so():
    traces = make_task(samples=300)
    (setting,) = [setting for model, setting in models_of("book-review", traces) if setting.endswith("chosen on dev")]
    speed = float(setting.split()[0].removeprefix("speed="))
    row = rows_of(traces)["FastBERT", setting]
    assert row["accuracy"] == pytest.approx(at_speed(traces[0], speed).accuracy)
    assert row["note"].endswith("fastest within 0.5 points of BERT on 300 dev rows")
    assert row[["reported_accuracy", "verdict", "verdict_relative"]].isna().all()


def test_comparisons_pair_the_same_samples():
    traces = make_task(samples=400)
    table = comparisons(traces)
    assert len(table) == 4 * 4
    row = table.query("setting == 'speed=0.5' and against == 'DistilBERT' and against_setting == '6 layers'").iloc[0]
    mine = at_speed(traces[0], 0.5).correct
    theirs = next(t for t in traces if t.metadata["training"] == "distilbert-6").correct[:, 0]
    assert row["difference"] == pytest.approx(100 * (mine.mean() - theirs.mean()))
    assert row["only_fastbert_right"] == (mine & ~theirs).sum()
    assert row["only_other_right"] == (theirs & ~mine).sum()
    disagreements = int((mine != theirs).sum())
    assert row["mcnemar_p"] == pytest.approx(stats.binomtest(int((mine & ~theirs).sum()), disagreements).pvalue)
    assert table["mcnemar_p_holm"].tolist() == holm(table["mcnemar_p"]).tolist()
    assert (table["mcnemar_p_holm"] >= table["mcnemar_p"]).all()


def test_without_loss_means_that_the_whole_interval_of_the_loss_is_below_half_a_point():
    same = comparisons([right_in(90)])
    assert set(same["without_loss"]) == {"yes"}
    assert set(same["difference"]) == {0}
    table = comparisons([make_trace(4000, skill=2), make_trace(4000, split="dev", skill=2)])
    assert {(low > -0.5, said) for low, said in zip(table["difference_low"], table["without_loss"], strict=True)} <= {
        (True, "yes"),
        (False, "no"),
    }
    assert set(table["without_loss"]) == {"yes", "no"}


def test_models_are_compared_on_the_seeds_that_both_have():
    fastbert = [make_trace(100, seed=seed) for seed in (7, 8)]
    student = {"training": "distilbert-1", "encoder": {**BERT, "layers": 1}, "layers": [1]}
    table = comparisons([*fastbert, make_trace(100, seed=8, **student)]).query("against == 'DistilBERT'")
    assert set(table["seeds"]) == {"8"}
    assert set(table["mcnemar_seed"]) == {8}
    assert comparisons([*fastbert, make_trace(100, seed=9, **student)]).query("against == 'DistilBERT'").empty
    assert paired(Averaged(fastbert[:1], dense), Averaged(fastbert[1:], dense)) is None


def test_a_speed_that_is_also_the_one_chosen_on_dev_counts_once_in_the_family(monkeypatch):
    traces = [make_trace(300), make_trace(300, split="dev")]
    monkeypatch.setattr("reproductions.table2.chosen_speed", lambda dev: 0.5)
    table = comparisons(traces).set_index("setting")
    assert len(table) == 4
    distinct = table.drop("speed=0.5 chosen on dev")
    np.testing.assert_array_equal(distinct["mcnemar_p_holm"], holm(distinct["mcnemar_p"]))
    assert table.loc["speed=0.5 chosen on dev", "mcnemar_p_holm"] == table.loc["speed=0.5", "mcnemar_p_holm"]


def test_every_row_names_what_it_came_from():
    row = rows_of([trace := right_in(86.88)])["FastBERT", "speed=0.1"]
    expected = run_row(trace)
    assert [row[name] for name in ("run_id", "backbone", "data_sha256", "train_rows", "test_rows")] == [
        expected[name] for name in ("run_id", "backbone", "data_sha256", "train_rows", "test_rows")
    ]
