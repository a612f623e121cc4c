"""Rows that are one text to the encoder count once, in every model of the task."""

import numpy as np

from reproductions.compare import Averaged
from reproductions.repeats import SAME, counted_once, most_repeated
from reproductions.table2 import dense
from tests.factories import make_trace

ROWS, SAME_ROWS = 400, np.arange(5, 13)


def repeated(**options):
    """A trace in which some rows, from batches of other texts, are one text."""
    trace = make_trace(ROWS, **options)
    trace.tokens[SAME_ROWS] = 3
    trace.probabilities[SAME_ROWS] = (0.7, 0.3) + np.linspace(-1e-6, 1e-6, len(SAME_ROWS))[:, None, None] * (1, -1)
    trace.labels[SAME_ROWS] = 0
    return trace


def test_rows_are_of_one_text_whose_tokens_and_answers_are_the_same():
    assert not most_repeated(make_trace(ROWS)).any()
    trace = repeated()
    assert np.flatnonzero(most_repeated(trace)).tolist() == SAME_ROWS.tolist()
    trace.tokens[SAME_ROWS[0]] = 4
    assert np.flatnonzero(most_repeated(trace)).tolist() == SAME_ROWS[1:].tolist()


def test_they_count_once_in_every_model_of_the_task_and_nowhere_else():
    own, other, dev = repeated(), make_trace(ROWS, training="labels"), make_trace(ROWS, split="dev")
    elsewhere = make_trace(ROWS, task="dbpedia", classes=14)
    one, labels, held_out, far = counted_once([own, other, dev, elsewhere])
    kept = np.setdiff1d(np.arange(ROWS), SAME_ROWS[1:])
    for given, found in ((own, one), (other, labels)):
        assert found.metadata[SAME] == len(SAME_ROWS)
        for name in ("probabilities", "labels", "tokens"):
            assert np.array_equal(getattr(found, name), getattr(given, name)[kept])
    assert held_out is dev
    assert far is elsewhere
    expected = own.correct[kept, -1].mean()
    assert Averaged([one], dense).accuracy == 100 * expected
    assert SAME not in own.metadata


def test_a_few_rows_stay_as_they_are():
    trace = repeated()
    trace.tokens[SAME_ROWS[1:]] = 4 + np.arange(len(SAME_ROWS) - 1)
    (found,) = counted_once([trace])
    assert found is trace
