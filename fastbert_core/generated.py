"""Generated text for machines without data: it shows that the machinery works, and nothing about any language.

Every class has a theme, and a text is a handful of its theme's words, the cues, among background words. An *easy* text
has cues of its own theme alone, so that a single one tells the class. A *hard* text has a minority of cues of another
theme too, so that they must be weighed up. In a task of pairs each text has its own theme, and the class is how far
apart the two themes are; the last class is the one of equal themes.
"""

import zlib

import numpy as np

from fastbert_core.data import TaskData, assemble
from fastbert_core.errors import InputError
from fastbert_core.generated_types import rows_of
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
CUES, RIVAL_CUES = 4, 2  # an easy text has 4 cues; a hard one 4 and 2 of another theme
BACKGROUND_WORDS = (4, 10)  # fewest and most of a text
# Most pairs begin with a text of the first theme: were both themes as likely, neither text alone would tell anything of
# the class, and a small untrained encoder would not find its way.
FIRST_THEME = 0.75


def generate(task: Task, rows: dict[str, int], seed: int = 7, difficulty: float = 0.4) -> TaskData:
    """Generate a task's splits with its classes and in its language; the same arguments give the same text.

    rows: how many rows "train", "dev" and "test" have. Classes are balanced to within one row, and no text stands
        twice, neither in one split nor in two.
    difficulty: the share of hard texts, in [0, 1].

    Raises InputError for a difficulty outside [0, 1], fewer training rows than classes, or more classes than words.
    """
    if not 0 <= difficulty <= 1:
        raise InputError(f"difficulty {difficulty}, expected 0 to 1")
    rng = np.random.Generator(np.random.PCG64([seed, zlib.crc32(task.name.encode())]))
    themes = _themes(task)
    taken: set[tuple[str, ...]] = set()
    one = _split if task.type == SINGLE.name else _split_of_type
    splits = [one(rng, task, themes, rows[name], difficulty, taken) for name in ("train", "dev", "test")]
    source = f"generated text (seed {seed}, difficulty {difficulty:g})"
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


def _split(rng: np.random.Generator, task: Task, themes: list, rows: int, difficulty: float, taken: set) -> Split:
    labels = rng.permutation(np.arange(rows, dtype=np.int64) % len(task.classes))
    samples = []
    for label in labels:
        sample = _sample(rng, task, themes, label, difficulty)
        while sample in taken:
            sample = _sample(rng, task, themes, label, difficulty)
        taken.add(sample)
        samples.append(sample)
    return Split([s[0] for s in samples], [s[1] for s in samples] if task.pair else None, labels)


def _split_of_type(
    rng: np.random.Generator, task: Task, themes: list, rows: int, difficulty: float, taken: set
) -> Split:
    """Rows of a task whose texts do not have one label each; they are as difficult as they are."""
    make, found = rows_of(task, themes, BACKGROUND[task.language].split()), []
    while len(found) < rows:
        texts, label = make(rng, len(found))
        if texts not in taken:
            taken.add(texts)
            found.append((texts, label))
    labels = TASK_TYPES[task.type].array([label for _, label in found], len(task.classes))
    columns = [list(column) for column in zip(*(texts for texts, _ in found), strict=True)]
    return Split(columns[0], columns[1] if task.pair else None, labels)


def _sample(rng: np.random.Generator, task: Task, themes: list, label: int, difficulty: float) -> tuple[str, ...]:
    """A text of theme `label`; or two, whose themes are as far apart as the label lies before the last class."""
    classes = len(task.classes)
    if not task.pair:
        return (_text(rng, task.language, themes[:classes], label, difficulty),)
    first = 0 if rng.random() < FIRST_THEME else rng.integers(classes)
    second = (first + classes - 1 - label) % classes
    return tuple(_text(rng, task.language, themes, theme, difficulty) for theme in (first, second))


def _text(rng: np.random.Generator, language: str, themes: list, own: int, difficulty: float) -> str:
    """A text of theme `own` that is hard with probability `difficulty`: its rival is any other of `themes`."""
    background = BACKGROUND[language].split()
    words = [_pick(rng, themes[own]) for _ in range(CUES)]
    if rng.random() < difficulty:
        rival = (own + rng.integers(1, len(themes))) % len(themes)
        words += [_pick(rng, themes[rival]) for _ in range(RIVAL_CUES)]
    words += [_pick(rng, background) for _ in range(rng.integers(BACKGROUND_WORDS[0], BACKGROUND_WORDS[1] + 1))]
    return ("" if language == "zh" else " ").join(words[place] for place in rng.permutation(len(words)))


def _pick(rng: np.random.Generator, words: list[str]) -> str:
    return words[rng.integers(len(words))]
