"""The window rule of sequence labelling, after TOKEE (Li et al., ACL 2021): words settle one by one.

There a word that has settled is no longer computed. Here, as in a trace, all words are computed until their sentence
leaves, so that a rule's costs are those of whole sentences.
"""

import numpy as np

from fastbert_core.exit_rules import RULES
from fastbert_core.exit_rules.caching import Caching
from fastbert_core.uncertainty import uncertainty


class Window(Caching):
    """A word's score is the largest entropy of the words around it, the smallest that this has been at any layer yet.

    A sentence's is that of its worst word: it leaves once every word has been sure, with its neighbours, at some layer,
    be it another for each. A word is answered by the layer so far that was surest of it. around: how many words on
    either side.
    """

    types = ("sequence-labelling",)

    def __init__(self, around: int) -> None:
        self.around = around

    def score(self, p: np.ndarray) -> np.ndarray:
        """Each word's own entropy."""
        return uncertainty(p)

    def of_parts(self, scores: np.ndarray, begins: np.ndarray) -> np.ndarray:
        """Of the words' [words, layers]."""
        sentence = np.zeros(len(scores), np.int64)
        sentence[begins[1:]] = 1
        sentence = sentence.cumsum()
        worst = scores.copy()
        for distance in range(1, min(self.around, len(scores) - 1) + 1):
            together = (sentence[distance:] == sentence[:-distance])[:, None]
            left, right = scores[:-distance], scores[distance:]
            worst[distance:] = np.where(together, np.maximum(worst[distance:], left), worst[distance:])
            worst[:-distance] = np.where(together, np.maximum(worst[:-distance], right), worst[:-distance])
        return np.maximum.reduceat(np.minimum.accumulate(worst, axis=1), begins, axis=0)


RULES.register("window-1", Window(1))
