"""Traces: what is written comes back, and of damaged ones only those are read that keep every promise of a trace."""

import json

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from fastbert_core.task_types import SUM_TOLERANCE
from fastbert_core.trace import METADATA, load_trace, save_trace
from tests.factories import make_trace
from tests.fuzz.harness import REFUSED, damaged, fuzz, outcome

JUNK = (
    *(None, True, -1, 0, 1, 1.5, 10**30, float("nan")),
    *("", "x", "7", "../../x", "/etc/passwd", "\0", "test\n", "é" * 50),
    *([], [1], ["a"], [1, 1], [2, 1], [[1]], list(range(40))),
    *({}, {"layers": 2}, {"layers": 10**12}, {"hidden": "8"}, {"": 1}),
)
tokens = (b"PK\3\4", b"PK\1\2", b"PK\5\6", b"\x93NUMPY", b"'descr'", b"O", b"True", b"(9, 9, 9)", b".npy", b"\0\0")

shapes = st.tuples(st.integers(1, 5), st.integers(1, 4), st.integers(2, 4))


@st.composite
def traces(draw):
    """A trace of a few samples."""
    samples, layers, classes = draw(shapes)
    encoder = {"layers": layers, "hidden": 8, "intermediate": 16, "heads": 2}
    return make_trace(samples, classes, seed=draw(st.integers(0, 9)), encoder=encoder, skill=draw(st.floats(-2, 9)))


def arrays_of(trace):
    """The members of a trace's archive; the metadata still as a dict."""
    return {name: getattr(trace, name) for name in ("probabilities", "labels", "tokens")} | {
        "metadata": dict(trace.metadata)
    }


def write(path, arrays):
    """An archive of whatever arrays, as numpy writes it."""
    metadata = arrays.get("metadata")
    if isinstance(metadata, dict | list):
        arrays = arrays | {"metadata": np.frombuffer(json.dumps(metadata).encode(), np.uint8)}
    np.savez_compressed(path, **arrays)


@given(traces())
@fuzz(60)
def test_what_is_in_order_comes_back(tmp_path, trace):
    path = tmp_path / "t.npz"
    save_trace(trace, path)
    assert same(outcome(load_trace, path, folder=tmp_path, name=str(path)), trace)


@st.composite
def wrong_array(draw):
    """A function that changes an array: its type, its shape or a value."""
    value = draw(st.sampled_from((np.nan, np.inf, -np.inf, -1, 0, 0.5, 1, 2, 1e-5, 2**31, 1e30)))
    dtype = draw(st.sampled_from("f2 f8 >f4 <f4 i1 i4 i8 >i8 u4 u8 c8 ? O U9 S4 M8[s] V8".split()))
    change = draw(st.sampled_from(("value", "value", "dtype", "shape", "cut", "more", "flat", "none", "sum", "swap")))
    at = draw(st.integers(0, 10**6))

    def edit(array):
        array = array.copy()
        if change == "value":
            with np.errstate(all="ignore"):
                array.flat[at % array.size] = (
                    value if array.dtype.kind == "f" else int(np.clip(np.nan_to_num(value), -9, 9))
                )
        elif change == "sum":
            array.flat[at % array.size] += 1 if array.dtype.kind != "f" else SUM_TOLERANCE * (at % 3)
        elif change == "dtype":
            with np.errstate(all="ignore"):
                array = array.astype(dtype if array.dtype.kind == "f" or dtype != "M8[s]" else "O")
        elif change == "shape":
            array = array.reshape(array.shape[::-1]) if at % 2 else array[None]
        elif change == "cut":
            array = array[: at % 3]
        elif change == "more":
            array = np.concatenate([array, array])
        elif change == "flat":
            array = array.ravel()[0] if at % 2 else array.ravel()
        elif change == "swap":
            array = array[..., ::-1]
        else:
            array = array[:0]
        return array

    return edit


@given(
    traces(),
    st.lists(st.tuples(st.sampled_from(("probabilities", "labels", "tokens")), wrong_array()), min_size=1, max_size=2),
)
@fuzz(150)
def test_changed_arrays(tmp_path, trace, changes):
    arrays, path = arrays_of(trace), tmp_path / "t.npz"
    for name, change in changes:
        if arrays[name].size and arrays[name].ndim:  # a second change may find nothing left, or a number
            arrays[name] = np.asarray(change(arrays[name]))
    write(path, arrays)
    check(path, arrays)


@given(traces(), st.data())
@fuzz(150)
def test_changed_metadata(tmp_path, trace, data):
    arrays, path = arrays_of(trace), tmp_path / "t.npz"
    metadata, junk = arrays["metadata"], st.sampled_from(JUNK)
    for _ in range(data.draw(st.integers(1, 2))):
        key = data.draw(st.sampled_from((*METADATA, "epoch", "stage")))
        change = data.draw(st.sampled_from(("value", "value", "value", "inside", "lose", "all")))
        if change == "value":
            metadata[key] = data.draw(junk)
        elif change == "inside" and isinstance(metadata.get(key), list | dict) and metadata[key]:
            inner = type(metadata[key])(metadata[key])
            place = data.draw(st.sampled_from(sorted(inner) if isinstance(inner, dict) else range(len(inner))))
            inner[place] = data.draw(junk)
            metadata[key] = inner
        elif change == "lose":
            metadata.pop(key, None)
        elif change == "all":
            text = data.draw(
                st.sampled_from((b"", b"{", b"[]", b"3", b"null", b"\xff", b"[" * 200_000, b'{"a":' * 50_000))
            )
            arrays["metadata"] = np.frombuffer(text, np.uint8)
            break
    write(path, arrays)
    check(path, arrays)


@given(traces(), st.booleans(), st.data())
@fuzz(120)
def test_damaged_bytes(tmp_path, trace, ours, data):
    path = tmp_path / "t.npz"
    if ours:
        save_trace(trace, path)
    else:
        write(path, arrays_of(trace))
    path.write_bytes(data.draw(damaged(path.read_bytes(), tokens)))
    found = outcome(load_trace, path, folder=tmp_path, name=str(path))
    assert found is REFUSED or same(found, trace)


def check(path, arrays):
    """Read a trace that holds `arrays`; if it is accepted, it must keep every promise and hold just these."""
    found = outcome(load_trace, path, folder=path.parent, name=str(path))
    if found is REFUSED:
        return
    p, labels, tokens, metadata = found.probabilities, found.labels, found.tokens, found.metadata
    assert all(np.array_equal(getattr(found, name), arrays[name]) for name in ("probabilities", "labels", "tokens"))
    assert json.dumps(metadata) == json.dumps(arrays["metadata"])  # NaN is no NaN
    samples, layers, classes = p.shape
    assert (p.dtype, labels.dtype, tokens.dtype) == (np.float32, np.int64, np.int32)
    assert labels.shape == tokens.shape == (samples,)
    assert min(samples, layers) > 0
    assert classes > 1
    assert ((p >= 0) & (p <= 1 + SUM_TOLERANCE)).all()
    assert np.allclose(p.sum(-1), 1, atol=2 * SUM_TOLERANCE)
    assert set(labels) <= set(range(classes))
    assert (tokens > 0).all()
    assert len(metadata["layers"]) == layers == len(set(metadata["layers"]))
    assert len(metadata["classes"]) == classes
    assert all(type(metadata[name]) is kind for name, kind in METADATA.items())


def same(found, trace):
    """Whether two traces are equal."""
    arrays = all(
        np.array_equal(getattr(found, name), getattr(trace, name)) for name in ("probabilities", "labels", "tokens")
    )
    return arrays and found.metadata == trace.metadata
