"""The page of questions: answers that follow from traces, and that change when the traces say otherwise."""

import numpy as np
import pytest

from fastbert_core.metrics import at_flops, at_speed, curve, dense
from reproductions.answers import distilbert, labels, speedup, students
from reproductions.questions import QUESTIONS, page
from tests.factories import binary_trace, make_task, make_trace


def test_without_traces_every_question_but_the_arithmetic_one_says_what_it_needs():
    text = page([make_trace(20, split="dev")])
    assert text.count("## ") == len(QUESTIONS)
    assert text.count("**Not answered here: it needs ") == len(QUESTIONS) - 1
    assert "**Yes: misprinted mflops 52783, by arithmetic 5278" in text


def test_with_all_traces_every_question_is_answered():
    text = page(make_task("yelp-polarity", samples=200, skill=2.0))
    assert "Not answered" not in text
    assert page(make_task("yelp-polarity", samples=200, skill=2.0)) == text
    for line in text.splitlines():
        if line.startswith("|"):
            assert line.count("|") >= 6


def a_student_that_is_rarely_sure():
    """Layer 1 is the most accurate where it is sure and where it is not, but rarely sure; layers 2 and 3 mostly are."""
    rng = np.random.default_rng(0)
    sure = np.stack([rng.random(4000) < share for share in (0.2, 0.95, 0.95)], axis=1)
    accuracy = np.where(sure, [0.995, 0.985, 0.985], [0.75, 0.65, 0.65])
    return binary_trace(np.where(sure, 0.999, 0.6), rng.random((4000, 3)) < accuracy)


def test_students_lose_because_fewer_of_their_samples_are_sure():
    trace = a_student_that_is_rarely_sure()
    answer = students.students_lose([trace])
    assert answer.line == (
        "Because more of their samples lie in bins where both are less accurate: 1 of 1 students are less accurate "
        "than the teacher, 0 more; over all bins 1 of the 1 are not less accurate within them."
    )
    row = answer.table.iloc[0]
    assert row["more accurate in"] == "2 of 2 bins"
    by_share, within = float(row["from the shares"]), float(row["from accuracy within bins"])
    difference = 100 * (trace.correct[:, 0].mean() - trace.correct[:, 2].mean())
    assert by_share < -10
    assert within > 0
    assert by_share + within == pytest.approx(difference, abs=0.011)


def test_a_bin_that_one_side_leaves_empty_counts_as_shares_alone():
    rng = np.random.default_rng(0)
    correct = np.stack([rng.random(4000) < accuracy for accuracy in (0.7, 0.8, 0.9)], axis=1)
    confidence = np.tile([0.6, 0.8, 0.999], (4000, 1))  # each layer in a bin of its own
    row = students.students_lose([binary_trace(confidence, correct)]).table.iloc[0]
    difference = 100 * (correct[:, 0].mean() - correct[:, 2].mean())
    assert float(row["from accuracy within bins"]) == 0
    assert float(row["from the shares"]) == pytest.approx(difference, abs=0.006)


def test_students_that_are_simply_worse_get_another_answer():
    rng = np.random.default_rng(1)
    sure = rng.random((4000, 3)) < 0.5
    trace = binary_trace(np.where(sure, 0.999, 0.6), rng.random((4000, 3)) < np.where(sure, [0.8, 0.9, 0.99], 0.6))
    assert students.students_lose([trace]).line.startswith("None here does: 1 of 1 students are less accurate")


def test_one_student_is_compared_at_its_own_cost():
    traces = make_task(samples=500)
    row = students.one_student(traces).table.iloc[0]
    dev = next(t for t in traces if t.metadata["split"] == "dev" and "epoch" not in t.metadata)
    best = 1 + int(np.argmax(dev.correct[:, :11].mean(axis=0)))
    assert row["best student"] == f"layer {best}"
    assert float(row["alone"]) == pytest.approx(dense(traces[0], best).accuracy, abs=0.005)
    equal = at_flops(traces[0], dense(traces[0], best).flops)
    assert equal.flops <= dense(traces[0], best).flops
    assert float(row["adaptive, equal FLOPs"]) == pytest.approx(equal.accuracy, abs=0.005)


def test_easy_tasks_are_told_from_the_others():
    easy, others = make_task("weibo", samples=300, skill=2.0), make_task("lcqmc", samples=300)
    assert dense(easy[0]).accuracy >= 95 > dense(others[0]).accuracy
    assert labels.easy_tasks(easy + others).line.count("of 5 comparisons") == 2
    only_others = labels.easy_tasks(others)
    assert only_others.line.startswith("Not answered here: it needs")
    assert len(only_others.table) == 1


def test_the_bargain_follows_the_traces():
    good, bad = (
        make_trace(3000, task="yelp-polarity"),
        make_trace(3000, task="yelp-polarity", skill=0.3, variant="labels"),
    )
    assert labels.bargain([good, bad]).line.startswith(
        "No: at equal FLOPs the variant is better than FastBERT in 0 of 2"
    )
    swapped = [
        make_trace(3000, task="yelp-polarity", skill=0.3),
        make_trace(3000, task="yelp-polarity", variant="labels"),
    ]
    assert labels.bargain(swapped).line.startswith("Yes: at equal FLOPs the variant is better than FastBERT in 2 of 2")
    row = labels.bargain([good, bad]).table.iloc[0]
    assert row["without"] == f"{at_speed(bad, 0.2).accuracy:.2f} at {at_speed(bad, 0.2).flops / 1e6:.0f}M"


def test_distilbert_is_met_at_its_own_flops():
    traces = make_task(samples=300)
    answer = distilbert.beats_distilbert(traces)
    assert answer.table["DistilBERT"].tolist() == ["6 layers", "3 layers", "1 layers"]
    student = next(t for t in traces if t.metadata["variant"] == "3-layers")
    expected = at_flops(traces[0], dense(student).flops).accuracy
    assert float(answer.table["FastBERT"][1]) == pytest.approx(expected, abs=0.005)
    assert "of 3 comparisons" in answer.line
    assert answer.line.count(" worse of 1") == 3
    significant = sum(float(p.removeprefix("< ")) < 0.05 for p in answer.table["McNemar p, Holm"])
    assert f"over the table: {significant} of the 3 differences are significant" in answer.about


def test_how_far_from_a_line():
    trace = make_trace(300)
    row = speedup.linear([trace]).table.iloc[0]
    table = curve(trace, np.arange(101) / 100)
    assert float(row["R²"]) == pytest.approx(np.corrcoef(table["speed"], table["speedup"])[0, 1] ** 2, abs=5e-4)
    assert row["speed 0.5"] == f"{table['speedup'][50]:.2f}x"
