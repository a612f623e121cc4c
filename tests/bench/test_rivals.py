"""What of the rivals' command can be tested without their packages."""

import numpy as np
import pytest

from bench import models
from bench.load.__main__ import main as load
from bench.models import Subject
from bench.rivals.__main__ import assert_ours, main
from fastbert_core.trace import Trace


@pytest.mark.parametrize("option", ["--rounds", "--rows"])
@pytest.mark.parametrize("value", ["0", "-1", "1.5", "", "two"])
def test_counts_are_whole_numbers_from_1(option, value, capsys):
    with pytest.raises(SystemExit, match="2"):
        main([f"{option}={value}"])
    assert f"{option}: found {value!r}, expected a whole number from 1" in capsys.readouterr().err


@pytest.mark.parametrize("command", [main, load])
def test_a_task_without_a_model_is_told_which_have_one(command, monkeypatch, capsys):
    monkeypatch.setattr(models, "available", lambda: {"dbpedia": None, "yahoo": None})
    assert command(["dbpedia", "weibo"]) == 2
    expected = "error: found no trained model of weibo, expected one of dbpedia, yahoo\n"
    assert capsys.readouterr().err == expected
    monkeypatch.setattr(models, "available", dict)
    assert command(["weibo"]) == 2
    assert capsys.readouterr().err.endswith("expected one of none\n")


# Of two layers and two classes: 0 leaves at layer 1, 1 at layer 2 and near a tie, 2 near the threshold.
PROBABILITIES = np.array(
    [[[0.99, 0.01], [0.99, 0.01]], [[0.6, 0.4], [0.50002, 0.49998]], [[0.9, 0.1], [0.2, 0.8]]], np.float32
)
TRACE = Trace(PROBABILITIES, np.zeros(3, np.int64), np.full(3, 9, np.int32), {})
SUBJECT = Subject("dbpedia", None, None, range(3), TRACE)
SPEED = float(TRACE.uncertainties[2, 0])  # not below it: 2 stays


def found(**changes):
    """What the authors' package would write, with changes: name -> (sample, value)."""
    same = {"logits": np.log(PROBABILITIES[:1]), "exit_layers": np.array([1, 2, 2]), "labels": np.array([0, 0, 1])}
    for name, (sample, value) in changes.items():
        same[name][sample] = value
    return same


@pytest.mark.parametrize(
    "changes", [{}, {"labels": (1, 1)}, {"exit_layers": (2, 1), "labels": (2, 0)}, {"labels": (2, 0)}]
)
def test_the_authors_answers_may_differ_near_the_threshold_and_their_labels_near_a_tie(changes):
    assert_ours(SUBJECT, SPEED, found(**changes))


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"logits": (0, [[4.0, 0.0], [4.0, 0.0]])}, "gives other probabilities"),
        ({"exit_layers": (0, 2)}, r"leaves elsewhere on samples \[0\]"),
        ({"exit_layers": (1, 1)}, r"leaves elsewhere on samples \[1\]"),
        ({"labels": (0, 1)}, r"labels samples \[0\] otherwise"),
    ],
)
def test_the_authors_answers_are_ours_elsewhere(changes, complaint):
    with pytest.raises(AssertionError, match=complaint):
        assert_ours(SUBJECT, SPEED, found(**changes))
