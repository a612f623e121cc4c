import dataclasses
import json

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scipy.special import expit, softmax

from fastbert_core.errors import InputError
from fastbert_core.packing import ENERGY_KEPT_TO, LARGEST_LOGSUMEXP, packed, packed_scale, unpacked
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.trace import EPOCH_KEPT_TO, METADATA, Trace, load_trace, save_trace
from fastbert_core.uncertainty import uncertainty

# That what is in order comes back, tests/fuzz/test_traces.py holds.
ENCODER = {"layers": 4, "hidden": 8, "intermediate": 16, "heads": 2}


@pytest.fixture
def trace():
    p = (np.random.default_rng(0).multinomial(2**22, [0.2, 0.3, 0.5], (5, 4)) / 2**22).astype(np.float32)
    metadata = dict.fromkeys(METADATA, "x") | {"layers": [1, 2, 3, 4], "classes": ["a", "b", "c"], "seed": 7}
    metadata["encoder"] = ENCODER
    return Trace(p, np.array([0, 1, 2, 0, 1]), np.full(5, 9, np.int32), metadata)


@pytest.mark.parametrize("epoch", [None, 0])
@pytest.mark.parametrize("spread", [0.02, 1, 50])
@pytest.mark.parametrize("classes", [2, 9, 40])
def test_a_file_keeps_uncertainties(trace, tmp_path, classes, spread, epoch):
    limit = 1e-3 if epoch == 0 else 1e-4
    drawn = np.random.default_rng(2).dirichlet([spread] * classes, (50, 4)).astype(np.float32)
    named = [str(number) for number in range(classes)]
    arrays = {"labels": np.zeros(50, np.int64), "tokens": np.full(50, 9, np.int32)}
    drawn_trace = Trace(drawn, metadata=trace.metadata | {"classes": named, "epoch": epoch}, **arrays)
    save_trace(drawn_trace, tmp_path / "t.npz")
    kept = load_trace(tmp_path / "t.npz")
    unsure = drawn_trace.uncertainties
    moved = np.abs(kept.uncertainties - unsure)
    assert kept.probabilities.dtype == np.float32
    assert moved.max() > 0
    assert (moved <= np.clip(unsure / 256, 1e-6, limit)).all()
    assert np.abs(kept.probabilities - drawn).max() <= limit
    assert (kept.probabilities.sum(axis=-1, dtype=np.float64) == 1).all()
    np.testing.assert_array_equal(kept.predictions, drawn_trace.predictions)
    first = (tmp_path / "t.npz").read_bytes()
    save_trace(kept, tmp_path / "t.npz")
    assert (tmp_path / "t.npz").read_bytes() == first, "what was kept must not wear off"


def test_sure_answers_come_back_whole(trace, tmp_path):
    said = trace.probabilities.copy()
    said[0, 0], said[1, 1], said[2, 2] = [0, 0, 1], [1 - 2**-24, 2**-24, 0], [0.25, 0.5, 0.25]
    save_trace(dataclasses.replace(trace, probabilities=said), tmp_path / "t.npz")
    np.testing.assert_array_equal(load_trace(tmp_path / "t.npz").probabilities, said)


@given(st.lists(st.integers(1, 5), min_size=2, max_size=40), st.integers(0, 2**32 - 1))
@example([2, 3, 3], 163)  # which differ by less than the finest step, and so are kept as they are
@settings(max_examples=100)
def test_no_answer_changes_in_a_file(parts, seed):
    """Of two classes that are as probable, or nearly so, the same one stays the first."""
    near = np.float32(parts) / sum(parts) + np.random.default_rng(seed).normal(0, 1e-8, (20, 1, len(parts)))
    p = (near / near.sum(axis=-1, keepdims=True)).astype(np.float32)
    p[:10] = np.float32(parts) / sum(parts)
    for limit in (1e-2, EPOCH_KEPT_TO, SINGLE.kept_to, 1e-5, 1e-6):
        kept = unpacked(packed(p, SINGLE, limit) or {"probabilities": p})["probabilities"]
        np.testing.assert_array_equal(kept.argmax(axis=-1), p.argmax(axis=-1))
        assert np.abs(kept - p).max() <= limit
        assert np.abs(uncertainty(kept) - uncertainty(p)).max() <= limit


@pytest.mark.parametrize("kind", [SINGLE, TASK_TYPES["multi-label"], TASK_TYPES["sequence-labelling"]])
def test_each_row_takes_the_coarsest_steps_that_keep_it(kind):
    """Of its classes together, whose entropy stays though each may move."""
    logits = np.random.default_rng(3).normal(0, 3, (200, 2, 40)).astype(np.float32)
    logits[:100, :, 0] += 12
    p = softmax(logits, axis=-1) if kind.sums_to_one else expit(logits)
    words = np.full(100, 2, np.int32) if kind.of_words else None
    unsure = kind.score(kind.rule(), p, words)
    members = packed(p, kind, kind.kept_to)
    kept = unpacked(members)["probabilities"]
    np.testing.assert_array_equal(kind.answer(kept), kind.answer(p))
    assert np.abs(kept - p).max() <= kind.kept_to
    assert np.abs(kind.score(kind.rule(), kept, words) - unsure).max() <= kind.kept_to
    assert members["bits"].shape == (200, 2)
    assert members["bits"].mean() < 15
    again = packed(kept, kind, kind.kept_to)
    np.testing.assert_array_equal(unpacked(again)["probabilities"], kept)
    np.testing.assert_array_equal(again["bits"], members["bits"])


def test_the_scale_of_the_logits_is_kept_where_it_is_given(trace, tmp_path):
    scale = np.random.default_rng(1).normal(0, 3, (5, 4)).astype(np.float32)
    save_trace(dataclasses.replace(trace, logsumexp=scale), tmp_path / "t.npz")
    again = load_trace(tmp_path / "t.npz")
    assert again.logsumexp.dtype == np.float32
    np.testing.assert_allclose(expit(-again.logsumexp), expit(-scale), rtol=0, atol=ENERGY_KEPT_TO)
    save_trace(again, tmp_path / "t.npz")
    np.testing.assert_array_equal(load_trace(tmp_path / "t.npz").logsumexp, again.logsumexp)
    scale[0, 0] = LARGEST_LOGSUMEXP
    save_trace(dataclasses.replace(trace, logsumexp=scale), tmp_path / "t.npz")
    assert load_trace(tmp_path / "t.npz").logsumexp[0, 0] == LARGEST_LOGSUMEXP
    save_trace(trace, tmp_path / "t.npz")
    assert load_trace(tmp_path / "t.npz").logsumexp is None
    for bad in (scale.astype(np.float64), scale[:, :3], np.full_like(scale, np.nan), np.full_like(scale, 1e30)):
        with pytest.raises(InputError, match="logsumexp"):
            save_trace(dataclasses.replace(trace, logsumexp=bad), tmp_path / "t.npz")


@pytest.mark.parametrize(("middle", "bits"), [(0, 11), (4, 8), (6, 5), (9, 4)])
def test_the_scale_takes_the_coarsest_steps_that_keep_its_energies(middle, bits):
    z = np.random.default_rng(0).normal(middle, 0.2, (300, 4)).astype(np.float32)
    members = packed_scale(z)
    kept = unpacked(members)["logsumexp"]
    assert members["scale_bits"] == [bits]
    np.testing.assert_allclose(expit(-kept), expit(-z), rtol=0, atol=ENERGY_KEPT_TO)
    np.testing.assert_array_equal(packed_scale(kept)["scale"], members["scale"])


def test_equal_traces_are_equal_files(trace, tmp_path):
    save_trace(trace, tmp_path / "a.npz")
    save_trace(dataclasses.replace(trace, metadata=dict(reversed(trace.metadata.items()))), tmp_path / "b.npz")
    assert (tmp_path / "a.npz").read_bytes() == (tmp_path / "b.npz").read_bytes()


def broken(trace, **parts):
    return dataclasses.replace(trace, **{name: make(getattr(trace, name).copy()) for name, make in parts.items()})


def edit(place, value):
    def make(array):
        array[place] = value
        return array

    return make


BREAKS = {
    "not finite": {"probabilities": edit((0, 0, 0), np.nan)},
    "away from summing to 1": {"probabilities": edit((0, 0), 0.9)},
    "negative probabilities": {"probabilities": edit((0, 0), [-0.5, 1.0, 0.5])},
    "labels from 0 to 3": {"labels": edit(0, 3)},
    "labels from -1 to 2": {"labels": edit(0, -1)},
    r"labels of shape \(4,\) and tokens of shape \(5,\)": {"labels": lambda a: a[:4]},
    "no samples": {"probabilities": lambda a: a[:0], "labels": lambda a: a[:0], "tokens": lambda a: a[:0]},
    r"layers named \[1, 2, 3, 4\]": {"probabilities": lambda a: a[:, :3]},
    "a sample of 0 tokens": {"tokens": edit(1, 0)},
    "probabilities of type float64": {"probabilities": lambda a: a.astype(np.float64)},
    "metadata without split": {"metadata": lambda m: {k: v for k, v in m.items() if k != "split"}},
    "metadata that is no table": {"metadata": list},
    r"split \['x'\] in the metadata, expected a str": {"metadata": edit("split", ["x"])},
    "precision True in the metadata, expected a str": {"metadata": edit("precision", True)},
    "classes named .*, each of type str": {"metadata": edit("classes", ["a", "b", 3])},
    "layers named .*, each of type int": {"metadata": edit("layers", [1, 2, 3, "4"])},
    "layers named .*, expected numbers from 1, ascending": {"metadata": edit("layers", [1, 2, 4, 3])},
    r"encoder .* an EncoderShape \(.*'experts'\)": {"metadata": edit("encoder", {**ENCODER, "experts": 8})},
    r"an EncoderShape \(encoder layers: found 10{9}, expected": {
        "metadata": edit("encoder", ENCODER | {"layers": 10**9})
    },
    "layer 4, expected at most the encoder's 3": {"metadata": edit("encoder", ENCODER | {"layers": 3})},
    "a sample of 600 tokens, expected at most the encoder's 512": {"tokens": edit(1, 600)},
}


@pytest.mark.parametrize("message", BREAKS)
def test_a_broken_trace_is_refused_in_one_line(trace, tmp_path, message):
    with pytest.raises(InputError, match=message) as caught:
        save_trace(broken(trace, **BREAKS[message]), tmp_path / "t.npz")
    assert str(caught.value).startswith(str(tmp_path / "t.npz"))
    assert "\n" not in str(caught.value)
    assert not (tmp_path / "t.npz").exists()


DAMAGES = [lambda b: b[:200], lambda b: b[:-1], lambda b: b[:-64], lambda b: b"", lambda b: b"text"]
DAMAGES += [lambda b: b.replace(b"labels.npy", b"others.npy")]  # a member is missing
TOLD = r"t\.npz: not a readable trace \(.*\), expected an npz written by this suite"


@pytest.mark.parametrize("damage", DAMAGES)
def test_a_damaged_file_is_named(trace, tmp_path, damage):
    path = tmp_path / "t.npz"
    save_trace(trace, path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=TOLD):
        load_trace(path)


def test_a_flipped_bit_is_found_wherever_it_could_be_read(trace, tmp_path):
    """Of the archive's dates and the like no bit is read; a run's record has the hash of all."""
    path = tmp_path / "t.npz"
    save_trace(trace, path)
    whole = path.read_bytes()
    for place in range(0, len(whole), 3):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 1 << place % 8]) + whole[place + 1 :])
        try:
            found = load_trace(path)
        except InputError:
            continue
        for name in ("probabilities", "labels", "tokens"):
            np.testing.assert_array_equal(getattr(found, name), getattr(trace, name))
        assert found.metadata == trace.metadata


def test_pickles_are_not_loaded(trace, tmp_path):
    metadata = np.frombuffer(json.dumps(trace.metadata).encode(), np.uint8)  # of which all else is in order
    arrays = {"probabilities": trace.probabilities.astype(object), "labels": trace.labels, "tokens": trace.tokens}
    np.savez(tmp_path / "t.npz", **arrays, metadata=metadata)
    with pytest.raises(InputError, match=r"not a readable trace .*allow_pickle"):
        load_trace(tmp_path / "t.npz")


def test_a_trace_of_earlier_files_is_read(trace, tmp_path):
    """They hold float32 as it is."""
    metadata = np.frombuffer(json.dumps(trace.metadata).encode(), np.uint8)
    scale = np.random.default_rng(1).normal(0, 3, (5, 4)).astype(np.float32)
    drawn = np.random.default_rng(2).dirichlet([1, 1, 1], (5, 4)).astype(np.float32)
    arrays = {"probabilities": drawn, "logsumexp": scale, "labels": trace.labels, "tokens": trace.tokens}
    np.savez(tmp_path / "t.npz", **arrays, metadata=metadata)
    found = load_trace(tmp_path / "t.npz")
    np.testing.assert_array_equal(found.probabilities, drawn)
    np.testing.assert_array_equal(found.logsumexp, scale)


WRONG_STEPS = {
    "steps of type uint16": {"steps": lambda a: a.astype(np.uint16)},
    r"steps of type uint8 and shape \(3, 5, 3, 4\)": {"steps": lambda a: a[:3]},
    "out of bounds": {"largest": lambda a: a + np.uint16(3)},
    "according to the rule 'safe'": {"largest": lambda a: a.astype(np.float32)},
    "negative probabilities": {"steps": lambda a: a | 0x80},
    "steps of 0 to 0 bits": {"bits": np.zeros_like},
    r"bits of shape \(1,\)": {"bits": lambda a: a.max(keepdims=True)[0]},
}


@pytest.mark.parametrize("message", WRONG_STEPS)
def test_steps_that_are_none_are_refused(trace, tmp_path, message):
    save_trace(trace, tmp_path / "t.npz")
    with np.load(tmp_path / "t.npz") as file:
        arrays = dict(file)
    arrays |= {name: change(arrays[name]) for name, change in WRONG_STEPS[message].items()}
    np.savez(tmp_path / "t.npz", **arrays)
    with pytest.raises(InputError, match=message):
        load_trace(tmp_path / "t.npz")


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match="no such trace"):
        load_trace(tmp_path / "t.npz")
