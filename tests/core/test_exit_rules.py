"""The contract of every exit rule in the registry, and what each of them says by hand."""

import dataclasses
from functools import cache

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from fastbert_core.adaptive import Leaving
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import BOUNDS, RULES, ExitRule, exit_layers, get_rule
from fastbert_core.exit_rules.beem import BeemAccuracy
from fastbert_core.exit_rules.f_pabee import divergences
from fastbert_core.exit_rules.gate import features
from fastbert_core.exit_rules.pcee import Pcee
from fastbert_core.exit_rules.temperature import Tempered, tempered
from fastbert_core.metrics import judged
from fastbert_core.task_types import SINGLE
from fastbert_core.uncertainty import uncertainty
from tests.core.small import found_at_three_thresholds, make_model, make_tokenizer, trace_of, varied
from tests.factories import make_trace

LAYERS = 6
GPU = pytest.mark.skipif(not torch.cuda.is_available(), reason="needs a GPU")


def said(seed, samples=40, layers=LAYERS, classes=4):
    logits = np.random.default_rng(seed).normal(0, 2, (samples, layers, classes)).cumsum(axis=1)
    return softmax(logits, axis=-1).astype(np.float32)


@cache
def ready(name, classes=4):
    """A rule of the registry, fitted on samples of its own."""
    p = said(99, 200, classes=classes)
    return RULES[name].fit(p, np.random.default_rng(9).integers(classes, size=200))


def check_causal(name, rule, p):
    """Fail, naming the rule, if a column of its scores or answers depends on what later layers say."""
    scores, answers = rule.score(p), rule.answer(p)
    for layers in range(1, p.shape[1]):
        for what, whole, part in (("score", scores, rule.score), ("answer", answers, rule.answer)):
            alike = np.array_equal(part(p[:, :layers]), whole[:, :layers])
            assert alike, f"exit rule {name}: the {what} of layers 1 to {layers} depends on later ones"


@pytest.mark.parametrize("name", SINGLE.rules())
@settings(max_examples=10)
@given(seed=st.integers(0, 10_000), classes=st.integers(2, 5))
def test_a_rule_looks_at_no_later_layer(name, seed, classes):
    p, rule = said(seed, classes=classes), ready(name, classes)
    scores, answers = rule.score(p), rule.answer(p)
    assert (scores.shape, scores.dtype) == (p.shape[:2], np.float64)
    assert (answers.shape, answers.dtype) == (p.shape[:2], np.int64)
    assert ((scores >= 0) & (scores <= 1)).all()
    assert ((answers >= 0) & (answers < classes)).all()
    check_causal(name, rule, p)


def test_a_rule_that_looks_ahead_is_named():
    class Ahead(ExitRule):
        def score(self, p):
            return np.repeat(p.max(axis=(1, 2), keepdims=True)[..., 0], p.shape[1], axis=1)

    with pytest.raises(AssertionError, match="exit rule ahead: the score of layers 1 to 1 depends on later ones"):
        check_causal("ahead", Ahead(), said(0))


@pytest.mark.parametrize("name", SINGLE.rules())
def test_a_sample_s_score_does_not_depend_on_the_others(name):
    p, rule = said(1), ready(name)
    for of in (rule.score, rule.answer):
        np.testing.assert_array_equal(np.concatenate([of(p[row : row + 1]) for row in range(len(p))]), of(p))


@pytest.mark.parametrize("name", SINGLE.rules())
def test_a_rule_that_does_not_look_back_says_the_same_of_a_layer_alone(name):
    p, rule = said(4), ready(name)
    alike = [np.array_equal(of(p[:, 3:4]), of(p)[:, 3:4]) for of in (rule.score, rule.answer)]
    assert rule.looks_back or all(alike)
    assert not rule.looks_back or not all(alike)  # else the engine keeps what nobody asks for


@pytest.mark.parametrize("name", SINGLE.rules())
def test_the_last_layer_always_exits(name):
    p, leaving = said(6), Leaving(ready(name), 0.0, LAYERS)
    kept = None
    for layer in range(1, LAYERS + 1):
        kept, _, _, stays = leaving.judge(kept, p[:, layer - 1], layer)
        assert stays.all() if layer < LAYERS else not stays.any()
        assert (kept is None) != leaving.rule.looks_back


@pytest.fixture(scope="module")
def small():
    """A small model, samples, and their trace with the scale of the logits."""
    model, encoded = make_model(), varied(40)
    return model, encoded, trace_of(model, encoded, logsumexp=True)


@pytest.mark.parametrize("device", ["cpu", pytest.param("cuda", marks=GPU)])
@pytest.mark.parametrize("name", SINGLE.rules())
def test_the_engine_leaves_where_the_trace_does(name, small, device):
    model, encoded, trace = small
    labels = np.random.default_rng(2).integers(3, size=len(encoded))
    rule, depths = RULES[name].fit(trace.probabilities, labels), set()
    engine = Engine(model, make_tokenizer(), device=device)
    for found in found_at_three_thresholds(engine, encoded, trace, rule):
        p = SINGLE.at(trace.probabilities, found.exit_layers, None)
        np.testing.assert_allclose(found.probabilities, p, atol=1e-4)
        depths |= {*found.exit_layers.tolist()}
    assert len(depths) > 1


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
    np.testing.assert_array_equal(RULES["entropy"].score(p), uncertainty(p))
    u = uncertainty(p)[0]
    np.testing.assert_allclose(RULES["vote"].score(p), [[1 / 2, 1 / 2, 1 / 3, 1 / 4]])
    np.testing.assert_allclose(RULES["static-layer"].score(p), [[1 / 2, 1 / 3, 1 / 4, 1 / 5]])
    np.testing.assert_allclose(RULES["mean-ensemble"].score(p)[0, 1], uncertainty(np.array([0.4, 0.5, 0.1])))
    geometric = np.sqrt([0.12, 0.21, 0.01])
    np.testing.assert_allclose(RULES["geometric-ensemble"].score(p)[0, 1], uncertainty(geometric / geometric.sum()))
    np.testing.assert_array_equal(RULES["caching"].score(p), [np.minimum.accumulate(u)])


def test_the_divergence_is_jensen_and_shannon_s_and_the_published_code_s_is_not():
    p = np.array([[[1.0, 0.0], [0.0, 1.0], [0.5, 0.5], [0.5, 0.5]]])
    half = 0.5 * np.log2(1 / 0.75) + 0.25 * np.log2(0.5 / 0.25) + 0.25 * np.log2(0.5 / 0.75)
    np.testing.assert_allclose(divergences(p), [[1, 1, half, 0]], atol=1e-12)
    np.testing.assert_allclose(RULES["f-pabee-2"].score(p), [[1, 1, 1, half]])
    # Two layers that are unsure alike do not differ at all, and yet nothing leaves there by the published code.
    np.testing.assert_allclose(RULES["f-pabee-1-published"].score(p), [[1, 1, uncertainty(np.array([0.25, 0.75])), 1]])


def test_the_answers_of_ensembles_by_hand():
    p = np.array([[[0.9, 0.1], [0.45, 0.55], [0.4, 0.6], [0.49, 0.51]]])
    assert RULES["entropy"].answer(p).tolist() == [[0, 1, 1, 1]]
    assert RULES["pcee-2-run"].answer(p).tolist() == [[0, 0, 1, 1]]
    assert RULES["pcee-2-all"].answer(p).tolist() == RULES["mean-ensemble"].answer(p).tolist() == [[0, 0, 0, 0]]
    assert RULES["geometric-ensemble"].answer(p).tolist() == [[0, 0, 0, 0]]
    assert RULES["vote"].answer(p).tolist() == [[0, 1, 1, 1]]
    assert RULES["caching"].answer(p).tolist() == [[0, 0, 0, 0]]


def by_patience(p, patience):
    """PABEE's loop: a counter that grows where a layer agrees with the last and falls to 0 where it does not."""
    left = []
    for sample in p.argmax(axis=-1):
        layer, count, before = 0, 0, None
        while layer < len(sample) and count < patience:
            count, before = (count + 1 if sample[layer] == before else 0), sample[layer]
            layer += 1
        left.append(layer)
    return left


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_patience_leaves_as_published(patience):
    p = said(3)
    threshold = (1 / patience + 1 / (1 + patience)) / 2
    np.testing.assert_array_equal(exit_layers(RULES["patience"].score(p), threshold), by_patience(p, patience))


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_beem_s_published_code_leaves_by_patience_and_its_paper_does_not(patience):
    """S of α counts layers that agree only where all weigh alike and are alike sure; else no α leaves as patience."""
    p = said(3)
    published = by_patience(p, patience)
    weigh_alike = BeemAccuracy(np.full(LAYERS, 0.8), 4)
    alike_sure = np.where(np.arange(4) == p.argmax(axis=-1)[..., None], 0.7, 0.1)
    alpha = (patience + 0.5) * 0.8 * 0.7  # more than S of one layer less, less than S of the layers that patience asks
    np.testing.assert_array_equal(exit_layers(weigh_alike.score(alike_sure), 1 / (1 + alpha)), published)
    for rule, of in ((weigh_alike, p), (RULES["beem-cost"], alike_sure), (RULES["beem-cost"], p)):
        scores = rule.score(of)
        for threshold in np.unique(scores):
            assert exit_layers(scores, threshold).tolist() != published


@pytest.mark.parametrize("patience", [1, 2, 3])
def test_pcee_leaves_as_its_counter_does(patience):
    """A counter of sure layers in a row. With a patience of one it is entropy."""
    p, scores = said(5), Pcee(patience).score(said(5))
    for threshold in (0.1, 0.4, 0.8):
        expected = []
        for sample in uncertainty(p) < threshold:
            layer, count = 0, 0
            while layer < len(sample) and count < patience:
                count = count + 1 if sample[layer] else 0
                layer += 1
            expected.append(layer)
        np.testing.assert_array_equal(exit_layers(scores, threshold), expected)
    if patience == 1:
        np.testing.assert_array_equal(scores, RULES["entropy"].score(p))
        for over in ("own", "run"):
            np.testing.assert_array_equal(Pcee(1, over).answer(p), RULES["entropy"].answer(p))


@pytest.mark.parametrize("alpha", [0.1, 0.5, 1.5])
def test_beem_leaves_where_its_sum_reaches_alpha(alpha):
    p = said(7)
    expected = []
    for sample in p.astype(np.float64):
        total, before = 0.0, None
        for layer, row in enumerate(sample, 1):
            total = 0.1 * layer * row.max() + (total if row.argmax() == before else 0.0)
            before = row.argmax()
            if total >= alpha:
                break
        expected.append(layer)
    threshold = np.nextafter(1 / (1 + alpha), 1)
    np.testing.assert_array_equal(exit_layers(RULES["beem-cost"].score(p), threshold), expected)


@given(seed=st.integers(0, 1000), temperature=st.floats(0.05, 20))
def test_a_temperature_changes_no_argmax(seed, temperature):
    p = said(seed)
    np.testing.assert_array_equal(tempered(p, temperature).argmax(axis=-1), p.argmax(axis=-1))
    np.testing.assert_allclose(tempered(p, 1.0), p, rtol=1e-6, atol=1e-9)


def test_each_layer_gets_the_temperature_that_it_lacks():
    rng, applied = np.random.default_rng(0), np.array([0.5, 1.0, 3.0])
    p = said(8, 5000, layers=1)
    labels = (p[:, 0].cumsum(axis=-1) < rng.random((len(p), 1))).sum(axis=-1).clip(max=3)
    distorted = tempered(p, applied[:, None])
    for name in ("entropy", "max-prob", "margin"):
        rule = RULES[f"{name}-tempered"].fit(distorted, labels)
        np.testing.assert_allclose(rule.by_layer, 1 / applied, rtol=0.15)
        expected = RULES[name].score(np.repeat(p, 3, axis=1))
        off, before = (np.abs(of.score(distorted) - expected).mean() for of in (rule, RULES[name]))
        assert off < 0.1 * before


def test_rows_that_were_changed_in_place_are_fitted_anew():
    random = np.random.default_rng(0)
    p, labels = random.dirichlet(np.ones(3), (200, 2)), random.integers(3, size=200)
    rule = RULES["entropy-tempered"]
    before = rule.fit(p, labels).by_layer
    labels[:] = p[:, -1].argmax(axis=-1)
    of_other_labels = rule.fit(p, labels).by_layer
    p[:] = p[::-1].copy()
    assert len({tuple(found) for found in (before, of_other_labels, rule.fit(p, labels).by_layer)}) == 3


def test_a_gate_needs_no_labels_and_leaves_where_the_last_layer_agrees():
    rng = np.random.default_rng(1)
    last = rng.integers(4, size=2000)
    depth = np.linspace(0.2, 4, LAYERS)[:, None]
    logits = depth * (last[:, None, None] == np.arange(4)) + rng.normal(0, 1, (2000, LAYERS, 4))
    p = tempered(softmax(logits, axis=-1), 1.0)
    gate, agrees = RULES["gate"].fit(p[:1000]), p.argmax(axis=-1) == p[:, -1:].argmax(axis=-1)
    scores = gate.score(p)
    for layer in range(LAYERS - 1):  # on samples that it has not seen
        unseen, agreed = scores[1000:, layer], agrees[1000:, layer]
        assert (1 - unseen).mean() == pytest.approx(agreed.mean(), abs=0.05)
        assert unseen[agreed].mean() < unseen[~agreed].mean()
    assert np.isfinite(features(np.eye(4, dtype=np.float32)[None])).all()


def test_a_gate_is_fitted_to_its_optimum_where_layers_nearly_always_agree():
    p = said(5, 500)
    p[:490] = softmax(20 * np.eye(4)[np.arange(490) % 4], axis=-1)[:, None]
    seen, agrees = features(p), p.argmax(axis=-1) == p[:, -1:].argmax(axis=-1)
    for x, y, (*weights, constant) in zip(
        seen.swapaxes(0, 1)[:-1], agrees.T[:-1], RULES["gate"].fit(p).by_layer[:-1], strict=True
    ):
        spread = np.where(x.std(axis=0) > 0, x.std(axis=0), 1)
        z, w = (x - x.mean(axis=0)) / spread, np.array(weights) * spread
        missed = expit(z @ w + constant + x.mean(axis=0) @ np.array(weights)) - y
        np.testing.assert_allclose([*(z.T @ missed + w), missed.sum()], 0, atol=1e-5)


def test_energy_is_lower_the_larger_a_logit_and_reads_their_scale(small):
    z = np.array([[[0.0, 0.0], [3.0, 0.0], [5.0, 2.0]]])
    scores = RULES["energy"].score(np.exp(z))
    np.testing.assert_allclose(scores, 1 / (1 + np.exp(z).sum(axis=-1)))
    trace = trace_of(*small[:2])
    trace.metadata.update(task="t", training="labels", seed=7, split="test")
    with pytest.raises(InputError, match=r"^trace of t, labels, seed 7, test: found no logsumexp, expected a trace"):
        judged(trace, "energy")
    z = small[2].logsumexp
    np.testing.assert_allclose(judged(small[2], "energy")[0], 1 / (1 + np.exp(z)), rtol=1e-5)
    of_one_scale = make_trace(300, 4)
    alike = dataclasses.replace(of_one_scale, logsumexp=np.full((300, 12), 3.7, np.float32))
    assert len(np.unique(judged(alike, "energy")[0])) == 1


def test_an_unfitted_rule_and_one_for_other_layers_or_classes_are_refused(small):
    with pytest.raises(InputError, match=r"exit rule gate: found it unfitted, expected what its fit"):
        get_rule("gate")
    with pytest.raises(InputError, match=r"exit rule Tempered: found it unfitted"):
        get_rule(Tempered())
    with pytest.raises(InputError, match=r"exit rule gate: found it unfitted"):
        Engine(small[0], make_tokenizer()).predict("word1", 0.5, rule="gate")
    with pytest.raises(InputError, match="found no labels, expected those of the calibration rows"):
        RULES["beem-accuracy"].fit(said(0))
    for name in ("gate", "entropy-tempered", "beem-accuracy"):
        for p, found in ((said(0, layers=7), "7 layers of 4"), (said(0, classes=3), "6 layers of 3")):
            with pytest.raises(InputError, match=f"found {found} classes, expected 6 layers of 4"):
                ready(name).score(p)


def test_bounds_by_hand():
    p = np.eye(2)[np.array([[0, 1, 0, 1], [1, 1, 0, 0], [0, 0, 0, 1]])]
    said, labels = p.argmax(axis=-1), np.array([1, 0, 1])
    correct, same = said == labels[:, None], said == said[:, -1:]
    assert exit_layers(BOUNDS["oracle-label"](correct, same), 0.5).tolist() == [2, 3, 4]
    assert exit_layers(BOUNDS["oracle-teacher"](correct, same), 0.5).tolist() == [2, 3, 4]
    graded = np.array([[0.2, 0.7, 0.7, 0.5], [0.0, 0.0, 0.0, 0.0]])
    assert exit_layers(BOUNDS["oracle-label"](graded, same[:2]), 0.5).tolist() == [2, 4]
    many = np.zeros((4000, 4), bool)
    leave = np.bincount(exit_layers(BOUNDS["random"](many, many), 0.5), minlength=5)[1:]
    np.testing.assert_allclose(leave / 4000, [1 / 2, 1 / 4, 1 / 8, 1 / 8], atol=0.03)
    assert not {*BOUNDS} & {*RULES}
