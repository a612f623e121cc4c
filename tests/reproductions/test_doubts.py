from types import SimpleNamespace

import numpy as np
import pytest

from reproductions.doubts import doubts
from reproductions.run import _store
from tests.factories import make_trace, run_row, trace_of

LABELS = np.arange(400) % 4


def trace_with(answers, confidence=0.7):
    """A trace whose exits answer `answers`, [layers, samples], with about `confidence`."""
    confidence = confidence + np.random.default_rng(1).uniform(-0.02, 0.02, (400, 2, 1))
    like = make_trace(4, classes=4, encoder={"layers": 2, "hidden": 8, "intermediate": 16, "heads": 2})
    p = np.where(np.stack(answers, axis=1)[..., None] == np.arange(4), confidence, (1 - confidence) / 3)
    return trace_of(p.astype(np.float32), LABELS, like.metadata, tokens=np.full(400, 9))


def right_on(share):
    rng = np.random.default_rng(0)
    return np.where(rng.random(400) < share, LABELS, (LABELS + 1) % 4)


def test_a_sound_model_leaves_none():
    trace = trace_with([right_on(0.6), right_on(0.7)])
    assert list(doubts(trace)) == list(doubts(trace, baseline=60.0)) == []


def test_a_class_that_is_never_right_is_named():
    never = np.where(right_on(0.8) == 2, 1, right_on(0.8))
    (said,) = doubts(trace_with([never, never], 0.6))
    assert said == "its last exit is never right on 1 of 4 classes: class 2"


def test_a_class_that_is_never_right_on_dev_is_named_though_test_has_it_right():
    test, never = trace_with([right_on(0.7), right_on(0.7)]), np.where(right_on(0.8) == 2, 1, right_on(0.8))
    assert not list(doubts(test, dev=test))
    (said,) = doubts(test, dev=trace_with([right_on(0.7), never]))  # right at the first exit, which is no comfort
    assert said == "its last exit is never right on dev on 1 of 4 classes: class 2"


def test_a_label_that_is_never_answered_is_named():
    labels = np.random.default_rng(3).integers(2, size=(400, 4))
    p = np.repeat(np.where(labels > 0, 0.7, 0.1)[:, None], 2, axis=1)
    p[..., 2] = 0.05
    of = {"task_type": "multi-label", "metrics": ["micro-f1"], "classes": ["joy", "anger", "fear", "love"]}
    like = make_trace(4, encoder={"layers": 2, "hidden": 8, "intermediate": 16, "heads": 2})
    trace = trace_of(p.astype(np.float32), labels, like.metadata | of, tokens=np.full(400, 9))
    said = [line for line in doubts(trace, dev=trace) if "never right" in line]
    assert said == [f"its last exit is never right{where} on 1 of 4 classes: fear" for where in ("", " on dev")]


def test_a_class_that_dev_does_not_have_is_not_missed():
    dev = trace_with([right_on(0.7), right_on(0.7)])
    dev.labels[dev.labels == 2] = 1
    assert not list(doubts(trace_with([right_on(0.7), right_on(0.7)]), dev=dev))


def test_a_run_tells_of_its_dev_trace_and_not_of_those_of_epochs(tmp_path):
    sound, never = right_on(0.7), np.where(right_on(0.7) == 2, 1, right_on(0.7))
    traces = [trace_with([answers, answers]) for answers in (sound, never, never)]
    for trace, more in zip(traces, ({}, {"split": "dev"}, {"split": "dev", "epoch": 1, "stage": "x"}), strict=True):
        trace.metadata.update(more)
    run, lines = SimpleNamespace(name="mine", settings=SimpleNamespace(seed=7)), []
    row = run_row(traces[0], baseline_accuracy=50.0)
    _store(run, row, traces, [], tmp_path, lines.append)
    assert lines == ["mine: DOUBTFUL: its last exit is never right on dev on 1 of 4 classes: class 2"]
    _store(run, row, [traces[0], traces[2]], [], tmp_path, lines.append)
    assert len(lines) == 1


@pytest.mark.parametrize("confidence", [0.45, 0.95])
def test_confidence_far_from_accuracy_is_told(confidence):
    (said,) = doubts(trace_with([right_on(0.7), right_on(0.7)], confidence))
    assert said.endswith(f"and {100 * confidence:.1f}% sure of itself")


def test_a_student_that_beats_its_teacher_is_told_unless_chance_explains_it():
    worse, slightly = right_on(0.7), right_on(0.8)
    (said,) = doubts(trace_with([right_on(0.8), worse], 0.72))
    assert said.startswith("the exit of layer 1 beats the last by")
    slightly[:3] = LABELS[:3]
    assert not [said for said in doubts(trace_with([slightly, right_on(0.8)], 0.8)) if "beats the last" in said]


def test_rows_that_are_one_text_are_told():
    trace = trace_with([right_on(0.7), right_on(0.7)])
    trace.probabilities[:8] = (0.7, 0.1, 0.1, 0.1)
    (said,) = [said for said in doubts(trace) if "one text" in said]
    assert said.startswith("8 of 400 rows are one text to the encoder; 2.0 points hang on its answer")


def test_a_baseline_that_beats_the_model_is_told():
    (said,) = doubts(trace_with([right_on(0.6), right_on(0.7)]), baseline=84.2)
    assert said.startswith("logistic regression on the frozen encoder has 84.20%, its last exit")
