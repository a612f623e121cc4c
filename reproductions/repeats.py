"""Test rows that are one text to the encoder: every exit answers them alike, so that they speak as one."""

import numpy as np

from fastbert_core.trace import Trace

MANY = 0.005  # of the test rows: what moves accuracy by half a point
DIGITS = 4  # batches of other texts change the last bits of an answer


def most_repeated(trace: Trace) -> np.ndarray:
    """The rows of the text that most rows are of, bool [samples]; none where no text has two.

    A trace has no texts; rows of as many tokens that all exits answer with the same probabilities are of one. Texts
    that differ may be one to the encoder, such as two letters that its vocabulary lacks.
    """
    if trace.words is not None:
        return np.zeros(len(trace), bool)
    answers = np.round(trace.probabilities, DIGITS).reshape(len(trace), -1)
    _, text, rows = np.unique(np.column_stack([trace.tokens, answers]), axis=0, return_inverse=True, return_counts=True)
    return (text == rows.argmax()) & (rows.max() > 1)
