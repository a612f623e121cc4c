import numpy as np
import pytest
import torch

from fastbert_core.baseline import baseline, frozen_vectors
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.train import Samples
from tests.core.small import PAD, encoded_samples, make_model, varied


def test_vectors_are_the_encoders_whatever_the_padding():
    model, encoded = make_model().eval(), varied(30)
    vectors = frozen_vectors(model, encoded, PAD)
    for row in (0, 7, 29):
        ids = torch.from_numpy(encoded.ids[encoded.offsets[row] : encoded.offsets[row + 1]].astype(np.int64))[None]
        hidden = model.backbone(ids).last_hidden_state[0].detach().numpy()
        np.testing.assert_allclose(vectors["cls"][row], hidden[0], atol=1e-5)
        np.testing.assert_allclose(vectors["mean"][row], hidden.mean(axis=0), atol=1e-5)


def test_vectors_in_bf16_are_those_of_fp32_but_for_rounding():
    model, encoded = make_model().eval(), varied(30)
    exact, rounded = (frozen_vectors(model, encoded, PAD, precision=precision) for precision in ("fp32", "bf16"))
    for name, vectors in exact.items():
        assert not np.array_equal(vectors, rounded[name])
        np.testing.assert_allclose(rounded[name], vectors, atol=0.1)


def told(seed, rows):
    """Samples whose label their tokens tell."""
    encoded = encoded_samples([6] * rows, seed)
    labels = (encoded.ids.reshape(rows, 6)[:, 1] > 55).astype(np.int64)
    encoded.ids.reshape(rows, 6)[:, 2:] = np.where(labels, 20, 90)[:, None]
    return Samples(encoded, labels)


def test_it_learns_what_vectors_tell_and_reports_the_test_set():
    model, parts = make_model(), [told(0, 200), told(1, 60), told(2, 80)]
    assert baseline(model, *parts, PAD) == 100.0
    flipped = Samples(parts[2].encoded, 1 - parts[2].labels)
    assert baseline(model, *parts[:2], flipped, PAD) == 0.0


def test_rows_that_go_class_by_class_are_all_drawn_from(monkeypatch):
    monkeypatch.setattr("fastbert_core.baseline.TRAIN_ROWS", 50)
    train = told(0, 200)
    order = np.argsort(train.labels, kind="stable")
    ids = train.encoded.ids.reshape(200, 6)[order]
    train.encoded.ids[:] = ids.ravel()
    by_class = Samples(train.encoded, train.labels[order])
    assert len(set(by_class.labels[:50])) == 1
    assert baseline(make_model(), by_class, told(1, 60), told(2, 80), PAD) == 100.0


def test_rows_of_one_class_are_an_error_of_the_caller():
    encoded = encoded_samples([5] * 4)
    samples = Samples(encoded, np.zeros(4, np.int64))
    with pytest.raises(ValueError, match="class"):
        baseline(make_model(), samples, samples, samples, PAD)


def test_of_many_labels_each_is_told_by_itself_and_one_that_no_row_has_is_never_answered(recwarn):
    parts = [told(0, 200), told(1, 60), told(2, 80)]
    kind = TASK_TYPES["multi-label"]
    labels = [np.stack([part.labels, 1 - part.labels, 0 * part.labels], axis=1) for part in parts]
    labels[2][:20, 2] = 1  # and the first of the two that are told, so F1 is 2/3
    found = baseline(
        make_model(), *(Samples(p.encoded, of) for p, of in zip(parts, labels, strict=True)), PAD, kind=kind
    )
    assert found == pytest.approx(100 * (60 + 20 * 2 / 3) / 80)
    assert not [warning for warning in recwarn if "present in all" in str(warning.message)]
