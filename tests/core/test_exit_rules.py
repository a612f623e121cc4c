"""The contract of every exit rule in the registry, and what each of them says by hand."""

import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.agreement import disagreements
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import RULES, check_threshold, exit_layers, run_lengths
from fastbert_core.uncertainty import uncertainty
from tests.core.small import make_model, make_tokenizer, trace_of, varied


def said(seed, samples=40, layers=6, classes=4):
    logits = np.random.default_rng(seed).normal(0, 2, (samples, layers, classes)).cumsum(axis=1)
    p = np.exp(logits - logits.max(axis=-1, keepdims=True))
    return (p / p.sum(axis=-1, keepdims=True)).astype(np.float32)


@pytest.mark.parametrize("name", RULES)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_a_rule_looks_at_no_later_layer(name, seed, classes):
    p, rule = said(seed, classes=classes), RULES[name]
    scores, answers = rule.score(p), rule.answer(p)
    assert (scores.shape, scores.dtype) == (p.shape[:2], np.float64)
    assert (answers.shape, answers.dtype) == (p.shape[:2], np.int64)
    assert np.isfinite(scores).all()
    assert ((answers >= 0) & (answers < classes)).all()
    for layers in range(1, p.shape[1]):
        np.testing.assert_array_equal(rule.score(p[:, :layers]), scores[:, :layers])
        np.testing.assert_array_equal(rule.answer(p[:, :layers]), answers[:, :layers])


@pytest.mark.parametrize("name", RULES)
def test_a_sample_s_score_does_not_depend_on_the_others(name):
    p, rule = said(1), RULES[name]
    one_by_one = np.concatenate([rule.score(p[row : row + 1]) for row in range(len(p))])
    np.testing.assert_array_equal(one_by_one, rule.score(p))


@pytest.mark.parametrize("name", RULES)
@pytest.mark.parametrize("batch_size", [1, 16])
def test_the_engine_leaves_where_the_trace_does(name, batch_size):
    model, encoded = make_model(), varied(120)
    trace = trace_of(model, encoded)
    scores, engine = RULES[name].score(trace.probabilities), Engine(model, make_tokenizer())
    for threshold in np.minimum(
        np.quantile(scores, [0.2, 0.5, 0.8]) + 1e-3, 1.0
    ):  # patience has few scores: not at one
        found = engine.predict(encoded, float(threshold), batch_size=batch_size, rule=name)
        broken, excused = disagreements(trace, found.labels, found.exit_layers, threshold, rule=name)
        assert broken.size == 0
        assert excused.size <= 1
        np.testing.assert_allclose(found.uncertainties, scores[np.arange(120), found.exit_layers - 1], atol=1e-4)
        assert len(np.unique(found.exit_layers)) > 1


@pytest.mark.parametrize("name", RULES)
def test_scores_lie_between_0_and_1_and_looking_back_is_said(name):
    p, rule = said(4), RULES[name]
    scores = rule.score(p)
    assert ((scores >= 0) & (scores <= 1)).all()
    if not rule.looks_back:
        np.testing.assert_array_equal(rule.score(p[:, 3:4]), scores[:, 3:4])
        np.testing.assert_array_equal(rule.answer(p[:, 3:4]), rule.answer(p)[:, 3:4])


@pytest.mark.parametrize("name", RULES)
def test_the_lower_the_threshold_the_later_all_leave(name):
    scores = RULES[name].score(said(2))
    depths = [exit_layers(scores, threshold) for threshold in (-1.0, *np.sort(scores, axis=None)[::20], np.inf)]
    assert all((later >= sooner).all() for later, sooner in itertools.pairwise(depths))
    assert (depths[0] == 6).all()
    assert (depths[-1] == 1).all()


@given(seed=st.integers(0, 10_000), share=st.floats(0.1, 0.9))
def test_with_two_classes_entropy_max_prob_and_margin_are_one_rule(seed, share):
    p = said(seed, classes=2)
    largest = np.sort(p.max(axis=-1), axis=None).astype(np.float64)
    wide = np.flatnonzero(np.diff(largest) > 1e-4)  # between two probabilities that rounding does not confuse
    at = wide[int(share * (len(wide) - 1))]
    m = (largest[at] + largest[at + 1]) / 2
    thresholds = {"entropy": uncertainty(np.array([m, 1 - m])), "max-prob": 1 - m, "margin": 2 * (1 - m)}
    depths = [exit_layers(RULES[name].score(p), threshold) for name, threshold in thresholds.items()]
    np.testing.assert_array_equal(depths[0], depths[1])
    np.testing.assert_array_equal(depths[0], depths[2])


def test_by_hand():
    p = np.array([[[0.6, 0.3, 0.1], [0.2, 0.7, 0.1], [0.1, 0.8, 0.1], [0.1, 0.7, 0.2]]])
    np.testing.assert_allclose(RULES["max-prob"].score(p), [[0.4, 0.3, 0.2, 0.3]])
    np.testing.assert_allclose(RULES["margin"].score(p), [[0.7, 0.5, 0.3, 0.5]])
    np.testing.assert_allclose(RULES["patience"].score(p), [[1, 1, 1 / 2, 1 / 3]])
    np.testing.assert_array_equal(RULES["entropy"].score(p), uncertainty(p))


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_leaves_as_published(patience):
    """PABEE's loop: a counter that grows where a layer agrees with the last and falls to 0 where it does not."""
    p = said(3)
    expected = []
    for sample in p.argmax(axis=-1):
        layer, count, before = 0, 0, None
        while layer < len(sample) and count < patience:
            count, before = (count + 1 if sample[layer] == before else 0), sample[layer]
            layer += 1
        expected.append(layer)
    threshold = (1 / patience + 1 / (1 + patience)) / 2
    np.testing.assert_array_equal(exit_layers(RULES["patience"].score(p), threshold), expected)


def test_run_lengths_by_hand():
    same = np.array([[1, 1, 0, 1, 1, 1], [0, 0, 1, 0, 0, 1]], bool)
    assert run_lengths(same).tolist() == [[1, 2, 0, 1, 2, 3], [0, 0, 1, 0, 0, 1]]


@pytest.mark.parametrize("bad", [None, "fast", float("nan"), -0.1, 1.1])
def test_a_threshold_outside_its_range_is_refused(bad):
    with pytest.raises(InputError, match=r"threshold: found .*, expected a number in \[0, 1\]"):
        check_threshold(bad)


def test_an_unknown_rule_is_told_the_nearest():
    with pytest.raises(InputError, match=r"exit rule: found 'entropie', .*did you mean 'entropy'"):
        RULES["entropie"]
