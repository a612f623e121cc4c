"""Generated text for machines without data: it shows that the machinery works, and nothing about any language.

Every class has a theme, and a text is a handful of its theme's words, the cues, among background words. An *easy* text
has cues of its own theme alone, so that a single one tells the class. A *hard* text has a minority of cues of another
theme too, so that they must be weighed up. In a task of pairs each text has its own theme, and the class is how far
apart the two themes are; the last class is the one of equal themes.

Other task types have the same words. Of many labels, a text has the cues of one theme or two. Of a regression, the
share of cues of the first theme among those of the first two is the score. Of words, cues are entities of their theme's
kind, among words that are none.
"""

import zlib
from collections.abc import Callable, Sequence

import numpy as np

from fastbert_core.data import TaskData, assemble
from fastbert_core.errors import InputError
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.tasks import Task
from fastbert_core.tsv import Split

# English words that a pre-trained encoder knows. Chinese characters that both the Chinese vocabulary of BERT and its
# English one hold, so that the packaged encoder can read them.
THEMES = {
    "en": """
        song guitar piano singer melody concert drum orchestra
        ship sailor ocean harbor captain boat island wave
        bank price profit market loan dollar trade tax
        soup bread cheese kitchen sugar dinner butter chef
        doctor hospital nurse patient disease surgery medicine fever
        judge court lawyer crime trial police prison jury
        soldier army battle weapon general troops enemy rifle
        rain storm snow wind cloud thunder winter frost
        teacher student lesson exam college classroom homework professor
        dog horse cat sheep wolf lion rabbit bear
        tree flower leaf root garden grass seed forest
        house tower bridge roof wall brick castle window
        football team goal coach stadium player tennis league
        planet star telescope orbit physics laboratory experiment atom
        shirt coat dress shoe hat silk jacket button
        train airport ticket hotel passenger road bus luggage
        church priest prayer bishop temple holy angel faith
        actor movie director camera scene theater audience script
        software computer network internet keyboard data program server
        mother father sister brother uncle daughter wife cousin""",
    "zh": """
        一 三 四 五 八 十 千
        上 下 中 外 西 南 北
        山 川 河 江 海 地 石
        日 月 星 光 明 天 春
        木 林 森 松 竹 花 禾
        人 女 子 男 夫 王 士
        口 心 手 目 耳 面 生
        家 宮 寺 堂 城 門 宿
        國 公 元 帝 政 法 治
        文 學 史 章 曲 歌 語
        京 州 都 郡 部 里 街
        金 水 火 氷 白 青 風""",
}
BACKGROUND = {
    "en": """the of and a to in was is it that for on with as at by this from had not are were which one all there
        when who will more some them other only new very after also then many""",
    "zh": """不 世 主 久 之 也 事 二 代 会 保 信 健 前 出 分 加 古 合 同 名 和 夏 大 太 安 定 宣 小 年 幸 平 長 成
        新 方 有 本 正 武""",
}
WORDS = {language: [line.split() for line in text.strip().splitlines()] for language, text in THEMES.items()}
SEED, DIFFICULTY = 7, 0.4  # of the random numbers; the share of hard texts
CUES, RIVAL_CUES = 4, 2  # an easy text has 4 cues; a hard one 4 and 2 of another theme
BACKGROUND_WORDS = (4, 10)  # fewest and most of a text
# Most pairs begin with a text of the first theme: were both themes as likely, neither text alone would tell anything of
# the class, and a small untrained encoder would not find its way.
FIRST_THEME = 0.75
# Of other task types: chance of a second label, and fewest and most entities of a sentence, and words that are no cues.
SECOND, ENTITIES, PLAIN = 0.3, (1, 2), (3, 8)

# From a generator of random numbers and the number of a row, its texts and its label.
Row = tuple[tuple[str, ...], object]
Make = Callable[[np.random.Generator, int], Row]


def generate(task: Task, rows: dict[str, int]) -> TaskData:
    """Generate a task's splits with its classes and in its language; the same arguments give the same text.

    rows: how many rows "train", "dev" and "test" have. Classes are balanced to within one row, and no text stands
        twice, neither in one split nor in two.

    Raises InputError for fewer training rows than classes, or more classes than words.
    """
    rng = np.random.Generator(np.random.PCG64([SEED, zlib.crc32(task.name.encode())]))
    themes = _themes(task)
    taken: set[tuple[str, ...]] = set()
    splits = [_split(rng, task, themes, rows[name], taken) for name in ("train", "dev", "test")]
    source = f"generated text (seed {SEED}, difficulty {DIFFICULTY:g})"
    return assemble(task, *splits, source, train_name=source)


def _themes(task: Task) -> list[list[str]]:
    """A list of words for each class, and for each theme left over; too many classes have the words dealt out anew."""
    themes, classes = WORDS[task.language], len(task.classes)
    if classes <= len(themes):
        return themes
    words = [word for theme in themes for word in theme]
    if classes > len(words):
        raise InputError(f"task {task.name}: {classes} classes, expected at most {len(words)} for generated text")
    return [words[label::classes] for label in range(classes)]


def _split(rng: np.random.Generator, task: Task, themes: list, rows: int, taken: set) -> Split:
    single = task.type == SINGLE.name
    make = _labelled(rng, task, themes, rows) if single else _of_type(task, themes)
    found: list[Row] = []
    while len(found) < rows:
        texts, label = make(rng, len(found))
        if texts not in taken:
            taken.add(texts)
            found.append((texts, label))
    labels = TASK_TYPES[task.type].array([label for _, label in found], len(task.classes))
    return Split([texts[0] for texts, _ in found], [texts[1] for texts, _ in found] if task.pair else None, labels)


def _labelled(rng: np.random.Generator, task: Task, themes: list, rows: int) -> Make:
    """Texts of one label each."""
    labels = rng.permutation(np.arange(rows, dtype=np.int64) % len(task.classes))
    return lambda rng, number: (_sample(rng, task, themes, labels[number]), labels[number])


def _sample(rng: np.random.Generator, task: Task, themes: list, label: int) -> tuple[str, ...]:
    """A text of theme `label`; or two, whose themes are as far apart as the label lies before the last class."""
    classes = len(task.classes)
    if not task.pair:
        return (_text(rng, task.language, themes[:classes], label),)
    first = 0 if rng.random() < FIRST_THEME else rng.integers(classes)
    second = (first + classes - 1 - label) % classes
    return tuple(_text(rng, task.language, themes, theme) for theme in (first, second))


def _text(rng: np.random.Generator, language: str, themes: list, own: int) -> str:
    """A text of theme `own` that is hard with probability DIFFICULTY: its rival is any other of `themes`."""
    words = _some(rng, themes[own], CUES)
    if rng.random() < DIFFICULTY:
        rival = (own + rng.integers(1, len(themes))) % len(themes)
        words += _some(rng, themes[rival], RIVAL_CUES)
    return _mixed(rng, language, words, BACKGROUND_WORDS)


def _mixed(rng: np.random.Generator, language: str, words: list[str], more: tuple[int, int]) -> str:
    """The words among background words, of which there are fewest and most `more`, in any order."""
    words = [*words, *_background(rng, language, more)]
    return ("" if language == "zh" else " ").join(words[place] for place in rng.permutation(len(words)))


def _background(rng: np.random.Generator, language: str, count: tuple[int, int]) -> list[str]:
    return _some(rng, BACKGROUND[language].split(), rng.integers(count[0], count[1] + 1))


def _some(rng: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    return [words[rng.integers(len(words))] for _ in range(count)]


def _of_type(task: Task, themes: list[list[str]]) -> Make:
    """Rows of a task whose texts do not have one label each; they are as difficult as they are."""

    def many(rng: np.random.Generator, number: int) -> Row:
        classes = len(task.classes)
        held = {number % classes}
        if rng.random() < SECOND:
            held.add(int(rng.integers(classes)))
        cues = [cue for label in held for cue in _some(rng, themes[label], CUES)]
        return (_mixed(rng, task.language, cues, PLAIN),), tuple(sorted(held))

    def score(rng: np.random.Generator, number: int) -> Row:
        share = number % (CUES + 1)
        cues = [*_some(rng, themes[0], share), *_some(rng, themes[1], CUES - share)]
        return tuple(_mixed(rng, task.language, words, PLAIN) for words in [cues, []][: 1 + task.pair]), share / CUES

    def tagged(rng: np.random.Generator, number: int) -> Row:
        tags = {tag: at for at, tag in enumerate(task.classes)}
        kinds = sorted({tag[2:] for tag in task.classes[1:]})
        words = [(word, "O") for word in _background(rng, task.language, PLAIN)]
        for entity in range(rng.integers(ENTITIES[0], ENTITIES[1] + 1)):
            kind = kinds[(number + entity) % len(kinds)]
            cues = _some(rng, themes[kinds.index(kind)], int(rng.integers(1, 4)))
            place = int(rng.choice([at for at, (_, tag) in enumerate([*words, ("", "O")]) if tag[0] in "OBS"]))
            words[place:place] = zip(cues, _scheme(kind, len(cues), tags), strict=True)
        return (" ".join(word for word, _ in words),), tuple(tags[tag] for _, tag in words)

    return {"multi-label": many, "regression": score, "sequence-labelling": tagged}[task.type]


def _scheme(kind: str, length: int, tags: dict[str, int]) -> list[str]:
    """The tags of an entity's words, in the scheme of the task: those of its prefixes that the kind has."""
    inside = next((f"{prefix}-{kind}" for prefix in "MI" if f"{prefix}-{kind}" in tags), f"B-{kind}")
    last = f"E-{kind}" if f"E-{kind}" in tags else inside
    if length == 1:
        return [next((tag for tag in (f"S-{kind}", f"B-{kind}") if tag in tags), "O")]
    return [f"B-{kind}", *[inside] * (length - 2), last]
