"""Rules beside each other with intervals, and the picture: against thresholds tried one by one."""

import sys

import numpy as np
import pytest

from fastbert_core import cli
from fastbert_core.evaluation import Said, beside, evaluate
from fastbert_core.evaluation_plot import drawn, save_plot
from fastbert_core.exit_rules import at_exit, exit_layers
from fastbert_core.metrics import judged
from fastbert_core.operating_points import calibrated, costs
from fastbert_core.trace import Trace
from tests.factories import make_trace

TEST = make_trace(1200, 4, skill=0.6)
COST, OF_FULL = costs(TEST)
FULL = 100 * TEST.correct[:, -1].mean()
SCORES, ANSWERS = judged(TEST, "entropy")
RIGHT = TEST.quality(ANSWERS)
OF = {"model_sha256": "", "texts_sha256": "", "max_tokens": 128}


@pytest.fixture(scope="module")
def tables():
    return evaluate(TEST, calibrated(make_trace(400, 4, skill=0.6, split="dev"), **OF))


@pytest.fixture(scope="module")
def rules():
    return beside(TEST)


def leaving_below_each():
    """Speedup and rightness of every row, of entropy, threshold by threshold."""
    for threshold in np.linspace(0, 1, 2001):
        left = exit_layers(SCORES, threshold)
        yield OF_FULL.mean() / at_exit(COST, left).mean(), at_exit(RIGHT, left)


@pytest.mark.parametrize("speedup", ["2x", "3x", "4x"])
def test_every_rule_has_the_interval_of_what_it_loses(rules, speedup):
    for row in rules:
        low, high = row[f"{speedup}_lost_interval"]
        assert (low + high) / 2 == pytest.approx(FULL - row[speedup])
        assert low < high
    entropy = next(row for row in rules if row["rule"] == "entropy")
    wanted = float(speedup[:-1])
    right = next(right for found, right in leaving_below_each() if found >= wanted)
    # Rows drawn anew, in pairs of what the last layer and the rule say: an interval by other means.
    drawn = np.random.default_rng(0).integers(len(right), size=(4000, len(right)))
    lost = 100 * (TEST.correct[:, -1].astype(float) - right)[drawn].mean(axis=1)
    assert entropy[f"{speedup}_lost_interval"] == pytest.approx(np.quantile(lost, [0.025, 0.975]).tolist(), abs=0.5)


def trace_of_type(kind, classes, p, labels, words=None):
    """Two layers that say the same `p` [units, classes]."""
    encoder = {"layers": 2, "hidden": 8, "intermediate": 16, "heads": 2}
    metadata = {"split": "test", "classes": classes, "layers": [1, 2], "encoder": encoder, "task_type": kind}
    tokens = np.full(len(p) if words is None else len(words), 5, np.int32)
    return Trace(np.stack([np.float32(p)] * 2, axis=1), np.array(labels), tokens, metadata, words=words)


def test_answers_of_many_labels_by_hand():
    p = [[0.9, 0.1], [0.9, 0.9], [0.1, 0.1]]
    tables = evaluate(trace_of_type("multi-label", ["a", "b"], p, [[1, 1], [1, 0], [0, 0]]), None)
    full = tables["points"][0]
    assert full["accuracy"] == pytest.approx(100 * (2 / 3 + 2 / 3 + 1) / 3)
    assert full["micro_f1"] == pytest.approx(100 * 4 / 6)
    assert full["macro_f1"] == pytest.approx(100 * (1 + 0) / 2)
    assert tables["majority"] == pytest.approx(100 * (2 / 3 + 1 + 0) / 3)  # of `a` for all


def test_tags_of_words_by_hand():
    said, labels, words = [1, 2, 0, 1, 0], [1, 2, 0, 0, 1], np.array([3, 2], np.int32)
    trace = trace_of_type("sequence-labelling", ["O", "B-X", "I-X"], np.eye(3)[said] * 0.7 + 0.1, labels, words)
    full = evaluate(trace, None)["points"][0]
    assert (full["accuracy"], full["entity_f1"], full["same"]) == (50.0, 50.0, 100.0)


def test_scores_by_hand_and_rows_without_one_are_passed_over():
    said, labels = np.array([0.2, 0.5, 0.9, 0.4]), [0.1, 0.5, 1.0, np.nan]
    tables = Said(None, None, trace_of_type("regression", ["score"], said[:, None], labels)).tables(None)
    full = tables["points"][0]
    assert tables["rows"] == 3
    assert full["accuracy"] == pytest.approx(100 * (0.9 + 1 + 0.9) / 3)
    assert full["pearson"] == pytest.approx(100 * np.corrcoef(said[:3], labels[:3])[0, 1])
    assert tables["majority"] == pytest.approx(100 * (0.6 + 1 + 0.5) / 3)  # of the median
    assert Said(None, None, trace_of_type("regression", ["score"], said[3:, None], labels[3:])).tables(None) is None


def test_the_picture_shows_the_tables(tables, rules):
    axes = drawn(TEST, tables | {"rules": rules}).axes[0]
    lines = {line.get_label(): line for line in axes.lines}
    assert {row["rule"] for row in rules} <= lines.keys()
    for row in rules:
        speedups, accuracies = lines[row["rule"]].get_data()
        assert np.interp(3, speedups, accuracies) == pytest.approx(row["3x"], abs=0.2)
    points, _, (bars,) = axes.containers[0]
    for row, at, (low, high) in zip(tables["points"][1:], points.get_xydata(), bars.get_segments(), strict=True):
        assert at.tolist() == [row["speedup"], row["accuracy"]]
        assert [low[1], high[1]] == pytest.approx([FULL - lost for lost in row["lost_interval"][::-1]])
    assert list(lines[f"last layer alone: {FULL:.2f}"].get_ydata()) == pytest.approx([FULL, FULL])


def test_its_title_says_how_fast_half_a_point_goes(tables):
    axes = drawn(TEST, {"points": tables["points"][:1]}).axes[0]  # of a model that is not calibrated
    assert not axes.containers
    words = axes.get_title(loc="left").split()
    most = float(words[words.index("to") + 1].rstrip("x"))
    too_much = min(speedup for speedup, right in leaving_below_each() if 100 * right.mean() < FULL - 0.5)
    assert most == pytest.approx(too_much, abs=0.15)
    assert most <= too_much


@pytest.mark.parametrize(("ending", "begins"), [("png", b"\x89PNG"), ("SVG", b"<?xml"), ("pdf", b"%PDF")])
def test_the_name_says_what_kind_of_file_it_is(tables, tmp_path, ending, begins):
    save_plot(TEST, tables, tmp_path / f"curve.{ending}")
    assert [path.name for path in tmp_path.iterdir()] == [f"curve.{ending}"]
    assert (tmp_path / f"curve.{ending}").read_bytes().startswith(begins)


def test_without_matplotlib_the_remedy_is_told_before_anything_is_read(monkeypatch, capsys):
    monkeypatch.setitem(sys.modules, "matplotlib", None)
    monkeypatch.delitem(sys.modules, "fastbert_core.evaluation_plot")
    assert cli.main(["evaluate", "nobody", "none.csv", "--plot", "curve.png"]) == 2
    error = "error: --plot: found no package matplotlib, expected it; pip install matplotlib brings it\n"
    assert capsys.readouterr().err == error
