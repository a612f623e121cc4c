import numpy as np
import pytest
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import f1_score, matthews_corrcoef

from fastbert_core.entities import entities
from fastbert_core.task_metrics import METRICS, bootstrap

IOB2 = ["O", "B-PER", "I-PER", "B-LOC", "I-LOC"]
BMES = ["O", "B-PER", "M-PER", "E-PER", "S-PER", "B-LOC", "M-LOC", "E-LOC", "S-LOC"]


def draw(kind, samples=60, seed=0):
    """Answers and labels that agree more often than by chance; words of each sample; names of classes."""
    random = np.random.default_rng(seed)
    if kind == "scores":
        labels = random.random(samples)
        return labels + 0.3 * random.random(samples), labels, None, ["score"]
    if kind == "labels":
        answers, labels = (random.random((2, samples, 4)) < 0.4).astype(np.int64)
        return np.where(random.random(labels.shape) < 0.5, labels, answers), labels, None, list("abcd")
    classes = {"two": 2, "five": 5}[kind] if isinstance(kind, str) else len(kind)
    words = random.integers(1, 9, samples) if kind in (IOB2, BMES) else None
    answers, labels = random.integers(0, classes, (2, samples if words is None else words.sum()))
    return np.where(random.random(labels.shape) < 0.6, labels, answers), labels, words, list(kind)


@pytest.mark.parametrize("seed", range(3))
def test_as_the_libraries_have_it(seed):
    answers, labels, *_ = two = draw("two", seed=seed)
    two = (*two[:3], ["a", "b"])
    assert METRICS["accuracy"](*two) == pytest.approx(100 * (answers == labels).mean())
    assert METRICS["f1"](*two) == pytest.approx(100 * f1_score(labels, answers))
    assert METRICS["matthews"](*two) == pytest.approx(100 * matthews_corrcoef(labels, answers))
    answers, labels, *_ = five = draw("five", seed=seed)
    five = (*five[:3], list("abcdef"))  # one class neither occurs nor is answered
    assert METRICS["macro-f1"](*five) == pytest.approx(100 * f1_score(labels, answers, average="macro"))
    assert METRICS["matthews"](*five) == pytest.approx(100 * matthews_corrcoef(labels, answers))
    answers, labels, *_ = many = draw("labels", seed=seed)
    for average in ("micro", "macro"):
        assert METRICS[f"{average}-f1"](*many) == pytest.approx(100 * f1_score(labels, answers, average=average))
    assert METRICS["accuracy"](*many) == pytest.approx(100 * (answers == labels).all(axis=1).mean())
    answers, labels, *_ = scores = draw("scores", seed=seed)
    assert METRICS["pearson"](*scores) == pytest.approx(100 * pearsonr(answers, labels).statistic)
    assert METRICS["spearman"](*scores) == pytest.approx(100 * spearmanr(answers, labels).statistic)


@pytest.mark.parametrize(
    ("classes", "expected"),
    [
        (IOB2, [55.6391, 62.069, 61.2903, 75.7895, 48.5294]),
        (BMES, [67.8788, 72.3684, 69.0141, 87.395, 63.0952]),
    ],
)
def test_entities_as_seqeval_1_2_2_counted_them(classes, expected):
    found = [METRICS["entity-f1"](*draw(classes, 20, seed)) for seed in range(5)]
    assert found == pytest.approx(expected, abs=1e-4)


def test_entities_by_hand():
    tags = np.array([IOB2.index(tag) for tag in ["B-PER", "I-PER", "O", "I-LOC", "B-LOC", "I-LOC", "I-PER", "B-PER"]])
    begins, kind, last = entities(tags, np.array([6, 2]), IOB2)
    found = [(int(at), int(last[at]), int(kind[at])) for at in np.flatnonzero(begins)]
    assert found == [(0, 1, 1), (3, 3, 2), (4, 5, 2), (6, 6, 1), (7, 7, 1)]
    by_layer = entities(np.stack([tags, np.zeros_like(tags)], axis=1), np.array([6, 2]), IOB2)
    np.testing.assert_array_equal(by_layer[0][:, 0], begins)
    assert not by_layer[0][:, 1].any()


@pytest.mark.parametrize(
    ("name", "answers", "labels"),
    [
        ("matthews", [1, 1, 1], [0, 1, 1]),
        ("matthews", [0, 1, 1], [1, 1, 1]),
        ("pearson", [0.3, 0.3, 0.3], [0.1, 0.2, 0.3]),
        ("spearman", [0.3, 0.3, 0.3], [0.1, 0.2, 0.3]),
        ("f1", [0, 0, 0], [0, 0, 0]),
    ],
)
def test_what_is_undefined_is_no_number(name, answers, labels):
    assert np.isnan(METRICS[name](np.array(answers), np.array(labels), None, ["a", "b"]))


@pytest.mark.parametrize("name", ["pearson", "spearman"])
def test_a_perfect_correlation_is_no_more_than_that(name):
    labels = np.random.default_rng(0).random((200, 5))
    found = np.array([METRICS[name](2 * row - 0.1, row, None, ["score"]) for row in labels])
    assert (found <= 100).all()
    np.testing.assert_allclose(found, 100)


def test_the_bootstrap_draws_samples_not_words():
    answers, labels, words, classes = draw(IOB2, 200)
    metric = METRICS["entity-f1"]
    sides = [metric.statistics(said, labels, words, classes) for said in (answers, labels)]
    drawn = [bootstrap(metric, side) for side in sides]
    assert drawn[0].shape == (1000,)
    np.testing.assert_array_equal(drawn[0], bootstrap(metric, sides[0]))
    assert drawn[0].mean() == pytest.approx(metric(answers, labels, words, classes), abs=1)
    assert (drawn[1] == 100).all()
    random, by_hand = np.random.default_rng(1), []
    starts = np.concatenate([[0], words.cumsum()])
    for _ in range(300):
        rows = random.integers(len(words), size=len(words))
        at = np.concatenate([np.arange(starts[row], starts[row + 1]) for row in rows])
        by_hand.append(metric(answers[at], labels[at], words[rows], classes))
    assert drawn[0].std() == pytest.approx(np.std(by_hand), rel=0.15)


def test_tags_without_a_prefix_are_kinds():
    classes = ["O", "DT", "NN", "BIRD", "EVENT"]
    labels, words = np.array([1, 2, 2, 3, 4, 0]), np.array([6])
    wrong = np.array([2, 1, 1, 4, 3, 0])
    counts = [METRICS["entity-f1"].statistics(tags, labels, words, classes)[0] for tags in (labels, wrong)]
    np.testing.assert_array_equal(counts, [[4, 4, 4], [0, 4, 4]])  # two words of one kind in a row are one
