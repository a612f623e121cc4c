"""What tasks are judged by: metrics of a whole set of answers, in per cent; NaN where one is undefined, never 0.

A metric is a function of sums over samples, so that samples may be drawn anew without a sample being looked at again.
"""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from scipy.sparse import csr_array
from scipy.stats import rankdata

from fastbert_core.entities import matched

DRAWS, AT_ONCE = 1000, 50  # of the bootstrap, and how many of them are held at a time
TINY = 1e-12  # of a variance, relative to the mean square, that rounding may leave of a constant

# From answers and labels of units, as the task type has them, how many of these are each sample's words (None where a
# unit is a sample), and the names of the classes: float64 [samples, sums].
Statistics = Callable[[np.ndarray, np.ndarray, "np.ndarray | None", Sequence[str]], np.ndarray]


@dataclass(frozen=True)
class Metric:
    """statistics: what is summed over samples; value: of sums [..., sums] the metric [...], in [-1, 1]."""

    statistics: Statistics
    value: Callable[[np.ndarray], np.ndarray]

    def __call__(
        self, answers: np.ndarray, labels: np.ndarray, words: np.ndarray | None, classes: Sequence[str]
    ) -> float:
        """The metric of all samples, in per cent."""
        return 100 * float(self.value(self.statistics(answers, labels, words, classes).sum(axis=0)))


def bootstrap(metric: Metric, statistics: np.ndarray) -> np.ndarray:
    """The metric, in per cent, of samples drawn anew, the same for all statistics [samples, sums] of as many samples.

    float64 [draws], reproducible. Ranks (Spearman) stay those of the whole set.
    """
    drawn, sums = _drawn(len(statistics)), csr_array(statistics.T)  # of 150 classes a sample has one or two
    parts = (drawn[begin : begin + AT_ONCE].T.astype(np.float64) for begin in range(0, DRAWS, AT_ONCE))
    return 100 * np.concatenate([metric.value((sums @ times).T) for times in parts])


@lru_cache(maxsize=1)
def _drawn(samples: int) -> np.ndarray:
    """How often each sample is drawn, uint16 [DRAWS, samples]."""
    return np.random.default_rng(0).multinomial(samples, np.full(samples, 1 / samples), size=DRAWS).astype(np.uint16)


def _right(answers: np.ndarray, labels: np.ndarray, words: np.ndarray | None, _: object) -> np.ndarray:
    right = answers == labels
    right = right if right.ndim == 1 else right.all(axis=1)
    if words is None:
        return np.stack([right, np.ones(len(right))], axis=1).astype(np.float64)
    begins = words.cumsum() - words
    return np.stack([np.add.reduceat(right.astype(np.float64), begins), words.astype(np.float64)], axis=1)


def _first_class(answers: np.ndarray, labels: np.ndarray, *_: object) -> np.ndarray:
    answered, there = answers == 1, labels == 1
    return np.stack([answered & there, answered, there], axis=1).astype(np.float64)


def _by_class(answers: np.ndarray, labels: np.ndarray, _: object, classes: Sequence[str]) -> np.ndarray:
    if labels.ndim == 1:
        answers, labels = (np.eye(len(classes))[values] for values in (answers, labels))
    return np.concatenate([answers * labels, answers, labels], axis=1).astype(np.float64)


def _all_labels(answers: np.ndarray, labels: np.ndarray, *_: object) -> np.ndarray:
    return np.stack([(answers * labels).sum(axis=1), answers.sum(axis=1), labels.sum(axis=1)], axis=1).astype(float)


def _confusion(answers: np.ndarray, labels: np.ndarray, _: object, classes: Sequence[str]) -> np.ndarray:
    return np.eye(len(classes) ** 2)[labels * len(classes) + answers]


def _moments(answers: np.ndarray, labels: np.ndarray, *_: object) -> np.ndarray:
    x, y = answers.astype(np.float64), labels.astype(np.float64)
    return np.stack([np.ones(len(x)), x, y, x * x, y * y, x * y], axis=1)


def _ranks(answers: np.ndarray, labels: np.ndarray, *_: object) -> np.ndarray:
    return _moments(*(rankdata(values) / len(values) for values in (answers, labels)))


def _share(sums: np.ndarray) -> np.ndarray:
    return sums[..., 0] / sums[..., 1]


def _f1(sums: np.ndarray) -> np.ndarray:
    """Of what is both answered and there, what is answered, and what is there."""
    either = sums[..., 1] + sums[..., 2]
    return np.divide(2 * sums[..., 0], either, out=np.full(either.shape, np.nan), where=either > 0)


def _macro(sums: np.ndarray) -> np.ndarray:
    """Mean of the F1 of every class that occurs or is answered."""
    of_classes = _f1(np.moveaxis(sums.reshape(*sums.shape[:-1], 3, -1), -2, -1))
    known = ~np.isnan(of_classes)
    count = known.sum(axis=-1)
    return np.divide(np.nansum(of_classes, axis=-1), count, out=np.full(count.shape, np.nan), where=count > 0)


def _matthews(sums: np.ndarray) -> np.ndarray:
    """Matthews' correlation (Gorodkin 2004 for more classes than two), undefined where one side is one class."""
    classes = round(sums.shape[-1] ** 0.5)
    table = sums.reshape(*sums.shape[:-1], classes, classes)
    there, answered, total = table.sum(axis=-1), table.sum(axis=-2), sums.sum(axis=-1)
    covariance = np.trace(table, axis1=-2, axis2=-1) * total - (there * answered).sum(axis=-1)
    spread = (total**2 - (there**2).sum(axis=-1)) * (total**2 - (answered**2).sum(axis=-1))
    return np.divide(covariance, np.sqrt(spread), out=np.full(total.shape, np.nan), where=spread > 0)


def _correlation(sums: np.ndarray) -> np.ndarray:
    """Pearson's correlation, undefined where one side is constant."""
    n, x, y, xx, yy, xy = np.moveaxis(sums, -1, 0)
    spreads = n * xx - x * x, n * yy - y * y
    known = (spreads[0] > TINY * n * xx) & (spreads[1] > TINY * n * yy)
    spread = np.sqrt(np.where(known, spreads[0] * spreads[1], 1.0))
    # Sums of floats, by which a perfect one may come out a little above 1.
    return np.where(known, np.clip((n * xy - x * y) / spread, -1.0, 1.0), np.nan)


METRICS = {
    "accuracy": Metric(_right, _share),  # of many labels, of samples that have every label right
    "f1": Metric(_first_class, _f1),  # of class 1 of two
    "macro-f1": Metric(_by_class, _macro),
    "micro-f1": Metric(_all_labels, _f1),
    "matthews": Metric(_confusion, _matthews),
    "pearson": Metric(_moments, _correlation),
    "spearman": Metric(_ranks, _correlation),
    "entity-f1": Metric(matched, _f1),
}
