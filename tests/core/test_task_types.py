"""Every task type under one contract: files, losses, traces, exit rules, engine, costs; tested by being there."""

import dataclasses

import numpy as np
import pytest
import torch
from torch.nn import functional
from torch.utils.flop_counter import FlopCounterMode

from fastbert_core.adaptive import Leaving, one_by_one
from fastbert_core.encoding import Encoded, Words
from fastbert_core.engine import Engine
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import RULES, exit_layers
from fastbert_core.flops import EncoderShape, dense_true_macs, paper_flops, true_macs
from fastbert_core.losses import LOSSES, Targets
from fastbert_core.metrics import judged
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.tasks import Task
from fastbert_core.trace import Trace, load_trace, save_trace
from fastbert_core.tracing import probabilities
from fastbert_core.tsv import read_tsv
from fastbert_core.words import encode_words
from tests.core import small
from tests.core.small import LAYERS, LONGEST, PAD, encoded_samples, make_tokenizer, texts_of, varied

CLASSES = {
    "single-label": ["sport", "music", "law"],
    "multi-label": ["joy", "anger", "fear", "love"],
    "regression": ["score"],
    "sequence-labelling": ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"],
}
SCORES = {"regression": [0.0, 5.0]}
TASKS = {
    name: Task("mine", "en", tuple(classes), type=name, scores=SCORES.get(name)) for name, classes in CLASSES.items()
}
# Of single labels test_exit_rules.py holds the same.
OF_TYPES = [(kind, name) for kind in CLASSES if kind != "single-label" for name in TASK_TYPES[kind].rules()]


def make_model(name):
    """A random model whose exits differ, so that samples leave at every layer."""
    of_type = {} if name == "single-label" else {"task_type": name, "scores": SCORES.get(name)}
    std = 0.08 if name == "regression" else 0.25
    return small.make_model(classes=CLASSES[name], std=std, of_type=of_type).eval()


def samples_for(name):
    """Random token ids, of sentences with words of one to three tokens, some of which are cut."""
    random = np.random.default_rng(5)
    lengths = random.integers(4, LONGEST + 1, 40)
    encoded = encoded_samples(lengths, 5)
    if name != "sequence-labelling":
        return encoded
    firsts = [[*range(1, length - 1, int(random.integers(1, 4))), *[-1] * int(length % 7 == 0)] for length in lengths]
    offsets = np.concatenate([[0], np.cumsum([len(of) for of in firsts])]).astype(np.int64)
    words = Words(np.array([place for of in firsts for place in of], np.int32), offsets)
    return Encoded(encoded.ids, None, encoded.offsets, None, words)


def labels_for(name, encoded):
    random = np.random.default_rng(6)
    return {
        "single-label": random.integers(3, size=len(encoded)),
        "multi-label": (random.random((len(encoded), 4)) < 0.3).astype(np.int64),
        "regression": random.random(len(encoded)),
        "sequence-labelling": random.integers(5, size=encoded.unit_count),
    }[name]


@pytest.fixture(scope="module")
def subjects():
    """A model of each type, samples, and their trace."""
    found = {}
    for name in CLASSES:
        model, encoded = make_model(name), samples_for(name)
        metadata = {
            "split": "test",
            "classes": CLASSES[name],
            "layers": list(range(1, LAYERS + 1)),
            "encoder": EncoderShape.from_config(model.config).described,
            "precision": "fp32",
            "task_type": name,
        }
        p = probabilities(model, encoded, PAD)
        found[name] = (
            model,
            encoded,
            Trace(p, labels_for(name, encoded), encoded.lengths, metadata, words=encoded.word_counts),
        )
    return found


def test_every_type_is_here():
    assert list(TASK_TYPES) == sorted(CLASSES)
    assert {kind for rule in RULES.values() for kind in rule.types} == set(TASK_TYPES)


@pytest.mark.parametrize(("name", "rule"), OF_TYPES)
def test_the_engine_leaves_where_the_trace_does(name, rule, subjects):
    model, encoded, trace = subjects[name]
    kind = TASK_TYPES[name]
    fitted = kind.fit(RULES[rule], trace.probabilities, trace.labels)
    assert judged(trace, fitted)[0].shape == (len(trace), LAYERS)
    engine, depths = Engine(model, make_tokenizer()), set()
    for found in small.found_at_three_thresholds(engine, encoded, trace, fitted):
        if not rule.startswith("window"):  # which answers of earlier layers
            p = kind.at(trace.probabilities, found.exit_layers, trace.words)
            np.testing.assert_allclose(found.probabilities, p, atol=1e-4)
        depths |= {*found.exit_layers.tolist()}
    assert len(depths) > 1 or rule == "change-3"


@pytest.mark.parametrize(("name", "rule"), OF_TYPES)
def test_a_score_looks_neither_ahead_nor_at_other_samples(name, rule, subjects):
    _, encoded, trace = subjects[name]
    kind, p, words = TASK_TYPES[name], trace.probabilities, trace.words
    fitted = kind.fit(RULES[rule], p, trace.labels)
    whole = kind.score(fitted, p, words)
    assert ((whole >= 0) & (whole <= 1)).all()
    for layers in range(1, LAYERS):
        np.testing.assert_array_equal(kind.score(fitted, p[:, :layers], words), whole[:, :layers])
    for row in range(5):
        units = encoded.units(np.array([row]))
        mine = None if words is None else words[row : row + 1]
        np.testing.assert_allclose(kind.score(fitted, p[units], mine)[0], whole[row], atol=1e-12)


@pytest.mark.parametrize("name", CLASSES)
def test_a_trace_comes_back_with_its_type(name, subjects, tmp_path):
    trace = subjects[name][2]
    save_trace(trace, tmp_path / "t.npz")
    again = load_trace(tmp_path / "t.npz")
    assert again.kind is TASK_TYPES[name]
    np.testing.assert_array_equal(again.correct, trace.correct)
    assert again.correct.shape == (len(trace), LAYERS)
    assert again.correct.min() >= 0
    assert again.correct.max() <= 1
    assert trace.kind.constant(trace.labels, trace.words, CLASSES[name]) <= 1
    perfect = trace.quality(trace.labels[:, None] if name != "multi-label" else trace.labels[:, None].astype(np.int64))
    assert (perfect == 1).all()


def test_a_trace_that_is_not_of_its_type_is_refused(subjects, tmp_path):
    labels, words = subjects["multi-label"][2], subjects["sequence-labelling"][2]
    beyond = labels.probabilities.copy()
    beyond[0, 0, 0] = 1.5
    with pytest.raises(InputError, match="probabilities outside of it"):
        save_trace(dataclasses.replace(labels, probabilities=beyond), tmp_path / "t.npz")
    with pytest.raises(InputError, match="words, expected"):
        save_trace(dataclasses.replace(words, words=words.words[:-1]), tmp_path / "t.npz")


def test_multi_label_loss_is_binary_cross_entropy_summed_over_labels():
    logits, labels = torch.randn(6, 3, 4), torch.randint(2, (6, 4))
    each = functional.binary_cross_entropy_with_logits(
        logits, labels[:, None].expand(6, 3, 4).float(), reduction="none"
    )
    expected = each.sum(dim=-1).mean(dim=0).sum()
    torch.testing.assert_close(TASK_TYPES["multi-label"].losses["cross-entropy"](logits, Targets(labels)), expected)
    said = logits.sigmoid()
    teacher, students = said[:, -1:], said[:, :-1]
    kl = teacher * (teacher / students).log() + (1 - teacher) * ((1 - teacher) / (1 - students)).log()
    found = TASK_TYPES["multi-label"].losses["kl"](logits, Targets(labels))
    torch.testing.assert_close(found, kl.sum(dim=-1).mean(dim=0).sum())


def test_regression_losses_are_squared_errors():
    logits, labels = torch.randn(6, 3, 1), torch.rand(6, dtype=torch.float64)
    losses = TASK_TYPES["regression"].losses
    apart = (logits[..., 0] - labels[:, None].float()).square().mean(dim=0)
    torch.testing.assert_close(losses["cross-entropy"](logits, Targets(labels)), apart.sum())
    torch.testing.assert_close(
        losses["linear-cross-entropy"](logits, Targets(labels)), (apart * torch.tensor([1.0, 2, 3])).sum() / 6
    )
    torch.testing.assert_close(losses["alternating"](logits, Targets(labels, step=0)), apart[-1])
    torch.testing.assert_close(losses["alternating"](logits, Targets(labels, step=1)), apart.sum())
    logits.requires_grad_()
    losses["kl"](logits, Targets(labels)).backward()
    assert logits.grad[:, -1].abs().max() == 0  # the teacher does not learn
    assert logits.grad[:, :-1].abs().min() > 0


@pytest.mark.parametrize("name", CLASSES)
def test_what_activates_and_its_inverse(name):
    kind, logits = TASK_TYPES[name], torch.randn(5, 3, len(CLASSES[name]))
    said = kind.activate(logits)
    torch.testing.assert_close(kind.activate(kind.logits(said)), said)
    assert set(kind.losses) <= set(LOSSES)


ROWS = {
    "multi-label": [("", [0, 0, 0, 0]), ("2", [0, 0, 1, 0]), ("0,3", [1, 0, 0, 1])],
    "regression": [("2.5", 0.5), ("5", 1.0), ("0.000", 0.0)],
}


@pytest.mark.parametrize("name", ROWS)
def test_labels_of_files(name, tmp_path):
    rows = "".join(f"{label}\ttext {at}\n" for at, (label, _) in enumerate(ROWS[name]))
    (tmp_path / "t.tsv").write_text(f"label\ttext_a\n{rows}")
    assert read_tsv(tmp_path / "t.tsv", TASKS[name]).labels.tolist() == [expected for _, expected in ROWS[name]]


def test_tags_of_files(tmp_path):
    (tmp_path / "t.tsv").write_text("tokens\ttags\nEU rejects Rome\tO O B-LOC\nJohn\tB-PER\n")
    split = read_tsv(tmp_path / "t.tsv", TASKS["sequence-labelling"])
    assert split.texts == ["EU rejects Rome", "John"]
    assert split.labels.tolist() == [(0, 0, 3), (1,)]
    kind = TASK_TYPES["sequence-labelling"]
    assert kind.of_units(split.labels, np.array([3, 1])).tolist() == [0, 0, 3, 1]
    assert kind.known(split.labels).tolist() == [True, True]


@pytest.mark.parametrize(
    ("name", "row", "message"),
    [
        (
            "multi-label",
            "1,9\ttext",
            "t.tsv:2: found the labels '1,9', expected different integers from 0 to 3, separated",
        ),
        ("multi-label", "1,1\ttext", "t.tsv:2: found the labels '1,1', expected different integers"),
        ("multi-label", "0.5\ttext", "t.tsv:2: found the labels '0.5'"),
        ("regression", "good\ttext", "t.tsv:2: found the score 'good', expected a number from 0 to 5"),
        ("regression", "nan\ttext", "t.tsv:2: found the score 'nan'"),
        ("regression", "5.01\ttext", "t.tsv:2: found the score '5.01'"),
        ("sequence-labelling", "a b\tO B-ORG", "t.tsv:2: found the label 'B-ORG', expected one of O, B-PER, I-PER"),
        ("sequence-labelling", "a b\tO", "t.tsv:2: found 1 tags, expected 2, one for each word"),
        ("sequence-labelling", "a  b\tO O", "t.tsv:2: found an empty word, expected single spaces"),
    ],
)
def test_labels_that_do_not_fit_are_refused_with_their_line(name, row, message, tmp_path):
    header = "\t".join(TASK_TYPES[name].columns[:: 1 if name == "sequence-labelling" else -1])
    (tmp_path / "t.tsv").write_text(f"{header}\n{row}\n")
    with pytest.raises(InputError, match=message):
        read_tsv(tmp_path / "t.tsv", TASKS[name])


def test_tags_begin_with_o(tmp_path):
    (tmp_path / "t.tsv").write_text("tokens\ttags\na\tO\n")
    with pytest.raises(InputError, match="found the first tag 'B-PER', expected 'O'"):
        read_tsv(tmp_path / "t.tsv", Task("mine", "en", ("B-PER", "O"), type="sequence-labelling"))


@pytest.mark.parametrize(
    ("name", "rule"),
    [("regression", "entropy"), ("regression", "gate"), ("single-label", "spread"), ("multi-label", "window-1")],
)
def test_a_rule_without_a_meaning_is_refused(name, rule, subjects):
    model, encoded, trace = subjects[name]
    with pytest.raises(InputError, match=f"(?i)exit rule {rule}: has no meaning for {name} tasks, expected one of"):
        Engine(model, make_tokenizer()).predict(
            encoded, 0.5, rule=dataclasses.replace(RULES[rule], by_layer=0) if rule == "gate" else rule
        )
    if rule != "gate":
        with pytest.raises(InputError, match=f"exit rule {rule}: has no meaning"):
            judged(trace, rule)


def test_the_worst_word_decides_and_the_window_keeps_what_has_settled():
    sure, unsure = [0.98, 0.02], [0.5, 0.5]
    p = np.float32([[sure, sure], [unsure, sure], [sure, unsure], [sure, sure]])  # words, layers
    kind, words = TASK_TYPES["sequence-labelling"], np.array([3, 1])
    scores = kind.score(RULES["entropy"], p, words)
    assert scores[0].tolist() == [1, 1]
    assert exit_layers(scores, 0.5).tolist() == [2, 1]
    # The third word was sure at layer 1, but its neighbour was not: only with its window it settles at neither.
    assert kind.score(RULES["window-1"], p, words)[0].tolist() == [1, 1]
    p[2, 1] = sure
    assert kind.score(RULES["window-1"], p, words)[0, 1] < 0.2
    p[0, 1] = [0.1, 0.9]
    assert RULES["window-1"].answer(p)[0].tolist() == [0, 0]  # surer before


def test_mean_and_worst_binary_entropy():
    p = np.float32([[[0.5, 1.0, 1.0, 1.0]]])
    kind = TASK_TYPES["multi-label"]
    assert kind.score(RULES["entropy"], p, None).tolist() == [[0.25]]
    assert kind.score(RULES["worst-label"], p, None).tolist() == [[1.0]]


def test_rules_of_scores_by_hand():
    p = np.float32([0.2, 0.5, 0.5, 0.6])[None, :, None]
    kind = TASK_TYPES["regression"]
    np.testing.assert_allclose(kind.score(RULES["change-1"], p, None), [[1, 0.3, 0, 0.1]], atol=1e-6)
    np.testing.assert_allclose(kind.score(RULES["change-2"], p, None), [[1, 1, 0.3, 0.1]], atol=1e-6)
    spread = [1, *(np.std([0.2, 0.5, 0.5, 0.6][:n]) for n in (2, 3, 4))]
    np.testing.assert_allclose(kind.score(RULES["spread"], p, None)[0], spread, atol=1e-6)
    np.testing.assert_allclose(kind.answers(RULES["spread"], p), p[..., 0])


def test_the_engine_tells_what_a_person_asks_for(subjects):
    for name in CLASSES:
        model, tokenizer = subjects[name][0], make_tokenizer()
        texts = texts_of(5)
        found = Engine(model, tokenizer).predict(texts, 0.0)
        for text, one in zip(texts, found, strict=True):
            if name == "sequence-labelling":
                assert len(one.label) == len(one.probabilities) == len(text.split(" "))
                assert set(one.label) <= set(CLASSES[name])
            elif name == "multi-label":
                assert one.label == [CLASSES[name][at] for at, p in enumerate(one.probabilities) if p > 0.5]
            elif name == "regression":
                assert one.label == pytest.approx(5 * one.index)
                assert one.index == pytest.approx(one.probabilities[0])
            else:
                assert one.label == CLASSES[name][int(np.argmax(one.probabilities))]


def test_encoded_samples_have_words_where_the_model_tags_them(subjects):
    words = subjects["sequence-labelling"][1]
    for name in CLASSES:
        other, found = (varied(5), "samples without words") if name == "sequence-labelling" else (words, "of words")
        with pytest.raises(InputError, match=f"encoded: found .*{found}, expected what the model's own kind.encode"):
            Engine(subjects[name][0], make_tokenizer()).predict(other, 0.3)


def test_words_are_tagged_at_their_first_token_and_what_is_cut_is_outside():
    tokenizer, model = make_tokenizer(), make_model("sequence-labelling")
    encoded = encode_words(tokenizer, ["word1 word2 word3 nothing", "word4"], max_tokens=5)
    assert encoded.words.firsts.tolist() == [1, 2, 3, -1, 1]
    assert encoded.words.offsets.tolist() == [0, 4, 5]
    assert encoded.truncated.tolist() == [True, False]
    assert encoded.units(np.array([1, 0])).tolist() == [4, 0, 1, 2, 3]
    p = probabilities(model, encoded, PAD)
    assert (p[3].argmax(axis=-1) == 0).all()
    assert p[3, :, 0].min() > 0.999
    with torch.inference_mode():
        ids = torch.tensor(encoded.ids[None, :5], dtype=torch.long)
        alone = model.exit_logits(ids)[0].softmax(dim=-1)  # [layers, tokens, tags]
    np.testing.assert_allclose(p[:3], alone[:, 1:4].transpose(0, 1).numpy(), atol=1e-6)


def test_the_tokenizer_s_own_words_are_the_same():
    texts = texts_of(20, seed=3)
    tokenizer = make_tokenizer()
    encoded = encode_words(tokenizer, texts, max_tokens=40)
    plain = SINGLE.encode(tokenizer, texts, None, 40)
    np.testing.assert_array_equal(encoded.ids, plain.ids)
    np.testing.assert_array_equal(encoded.offsets, plain.offsets)


@pytest.mark.parametrize("exit_layer", [1, LAYERS])
def test_token_heads_are_counted(exit_layer, subjects):
    """By torch's own counter, which counts two for each multiply-accumulate, of attention written out."""
    model = subjects["sequence-labelling"][0]
    model.backbone.set_attn_implementation("eager")
    shape, tokens = EncoderShape.from_config(model.config), 9
    assert shape.token_classes == 5
    ids = torch.full((1, tokens), 7)
    with FlopCounterMode(display=False) as counter, torch.inference_mode():
        model.exit_logits(ids, layers=tuple(range(1, exit_layer + 1)))
    assert counter.get_total_flops() == 2 * true_macs(shape, exit_layer, tokens, 5)
    head = 16 * 5 * tokens
    assert true_macs(shape, LAYERS, tokens, 5) - dense_true_macs(shape, tokens, 5) == (LAYERS - 1) * head
    none = EncoderShape(**shape.described | {"token_classes": 1})
    assert paper_flops(shape, 1, tokens) - paper_flops(none, 1, tokens) == 2 * 16 * 4 * tokens
    assert "token_classes" not in EncoderShape.from_config(subjects["regression"][0].config).described


def test_hugging_face_s_forward_of_words():
    model = make_model("sequence-labelling")
    ids, labels = (
        torch.randint(5, 50, (2, 6)),
        torch.tensor([[-100, 1, 0, -100, 2, -100], [-100, 3, -100, -100, -100, -100]]),
    )
    output = model(ids, labels=labels)
    assert output.logits.shape == (2, 6, 5)
    assert output.exit_logits.shape == (2, LAYERS, 6, 5)
    chosen = labels >= 0
    expected = sum(functional.cross_entropy(output.exit_logits[:, at][chosen], labels[chosen]) for at in range(LAYERS))
    torch.testing.assert_close(output.loss, expected)


def test_one_by_one_is_pooled(subjects):
    for name, (model, encoded, trace) in subjects.items():
        kind = TASK_TYPES[name]
        threshold = float(np.median(trace.uncertainties[:, 0]))
        alone = one_by_one(model, encoded, PAD, Leaving(RULES[kind.base], threshold, LAYERS, kind))
        together = Engine(model, make_tokenizer()).predict(encoded, threshold, batch_size=8)
        assert (alone.exit_layers == together.exit_layers).mean() > 0.95
        assert 1 < alone.exit_layers.mean() < LAYERS
        np.testing.assert_allclose(alone.uncertainties, together.uncertainties, atol=1e-3)
