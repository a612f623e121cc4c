import itertools

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from fastbert_core import generated
from fastbert_core.errors import InputError
from fastbert_core.generated import BACKGROUND, CUES, RIVAL_CUES, WORDS, generate
from fastbert_core.tasks import PAPER_TASKS, TASKS, Task

ROWS = {"train": 60, "dev": 20, "test": 40}


def drawn(task, rows=ROWS, seed=generated.SEED, difficulty=generated.DIFFICULTY):
    """Text of another seed or difficulty."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(generated, "SEED", seed)
        patch.setattr(generated, "DIFFICULTY", difficulty)
        return generate(task, rows)


def vocabulary(language):
    return [word for theme in WORDS[language] for word in theme] + BACKGROUND[language].split()


def words(text, language):
    return text.split() if language == "en" else list(text)


def cues(text, task):
    """How many words of each class's theme a text holds."""
    found = words(text, task.language)
    return np.array([sum(word in theme for word in found) for theme in WORDS[task.language][: len(task.classes)]])


@pytest.mark.parametrize("name", PAPER_TASKS)
def test_every_task_gets_its_classes_balanced_and_no_text_twice(name):
    task = TASKS[name]
    data = generate(task, ROWS)
    assert [len(data.train), len(data.dev), len(data.test)] == [60, 20, 40]
    for split in (data.train, data.dev, data.test):
        counts = np.bincount(split.labels, minlength=len(task.classes))
        assert counts.max() - counts.min() <= 1
        assert (split.pairs is not None) == task.pair
    splits = (data.train, data.dev, data.test)
    texts = [key for s in splits for key in zip(s.texts, s.pairs or s.texts, strict=True)]
    assert len(set(texts)) == 120
    known = set(vocabulary(task.language))
    assert {word for text in itertools.chain(*texts) for word in words(text, task.language)} <= known
    assert data.source == "generated text (seed 7, difficulty 0.4)"


def test_the_same_arguments_give_the_same_text_on_every_machine():
    data = generate(TASKS["dbpedia"], ROWS)
    assert data.sha256 == generate(TASKS["dbpedia"], ROWS).sha256
    assert data.sha256 == "ff8ef51553e6fcb7120faf63fc089864dd6640831e192f1c22c2ceae6ad04eb2"
    assert generate(TASKS["lcqmc"], ROWS).sha256 == "0e55620cd068213d7631ded238467e49c8cae6f8fd7d98716a36f3213f0dba58"
    others = [drawn(TASKS["dbpedia"], ROWS, seed=8), drawn(TASKS["dbpedia"], difficulty=0.5)]
    others.append(generate(Task("other", "en", TASKS["dbpedia"].classes), ROWS))
    assert len({data.sha256, *(other.sha256 for other in others)}) == 4


@pytest.mark.parametrize(("difficulty", "rivals"), [(0, 0), (1, RIVAL_CUES)], ids=["easy", "hard"])
@given(name=st.sampled_from([name for name in PAPER_TASKS if name != "lcqmc"]), seed=st.integers(0, 1000))
@settings(max_examples=20)
def test_texts_have_cues_of_their_class_and_hard_ones_fewer_of_one_other(difficulty, rivals, name, seed):
    task = TASKS[name]
    data = drawn(task, ROWS, seed=seed, difficulty=difficulty)
    for text, label in zip(data.train.texts, data.train.labels, strict=True):
        found = cues(text, task)
        assert found[label] == CUES
        assert sorted(found)[-2:] == [rivals, CUES]
        assert found.sum() == CUES + rivals


def test_difficulty_is_the_share_of_hard_texts():
    task = TASKS["ag-news"]
    texts = drawn(task, {"train": 1000, "dev": 1, "test": 1}, difficulty=0.3).train.texts
    assert 0.25 < np.mean([cues(text, task).sum() > CUES for text in texts]) < 0.35


def test_the_class_of_a_pair_is_the_relation_of_its_texts():
    task = TASKS["lcqmc"]
    data = drawn(task, ROWS, difficulty=0)
    for a, b, label in zip(data.train.texts, data.train.pairs, data.train.labels, strict=True):
        same = cues(a, task).argmax() == cues(b, task).argmax()
        assert task.classes[label] == ("same meaning" if same else "different")


def test_neither_text_of_a_pair_tells_its_class_alone():
    task = TASKS["lcqmc"]
    data = drawn(task, {"train": 1000, "dev": 2, "test": 2}, difficulty=0)
    for texts in (data.train.texts, data.train.pairs):
        themes = np.array([cues(text, task).argmax() for text in texts])
        agreement = np.mean(themes == data.train.labels)
        assert max(agreement, 1 - agreement) < 0.95


def test_pairs_of_three_classes_depend_on_both_texts():
    task = Task("three", "en", ("a", "b", "c"), pair=True)
    data = drawn(task, ROWS, difficulty=0)
    for a, b, label in zip(data.train.texts, data.train.pairs, data.train.labels, strict=True):
        assert (cues(b, task).argmax() - cues(a, task).argmax()) % 3 == 2 - label


@pytest.mark.parametrize("classes", [21, 50, 160])
def test_more_classes_than_themes_share_out_the_words(classes):
    task = Task("many", "en", tuple(f"class {i}" for i in range(classes)))
    data = drawn(task, {"train": classes, "dev": 1, "test": 1}, difficulty=0)
    themes = [set(vocabulary("en")[label:160:classes]) for label in range(classes)]
    for text, label in zip(data.train.texts, data.train.labels, strict=True):
        assert sum(word in themes[label] for word in text.split()) == CUES


def test_words_are_each_in_one_place_and_chinese_is_plain():
    for language in ("en", "zh"):
        found = vocabulary(language)
        assert len(set(found)) == len(found)
    assert all(len(word) == 1 and "\u4e00" <= word <= "\u9fff" for word in vocabulary("zh"))
    assert all(word.isascii() and word.isalpha() and word.islower() for word in vocabulary("en"))


def test_bad_arguments():
    with pytest.raises(InputError, match=r"generated text .*: no text of class"):
        generate(TASKS["dbpedia"], {"train": 13, "dev": 1, "test": 1})
    with pytest.raises(InputError, match="161 classes, expected at most 160"):
        generate(Task("many", "en", tuple(map(str, range(161)))), ROWS)
