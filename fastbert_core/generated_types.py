"""Generated text for tasks of other types than single labels, of the same words: what each row says, and its label.

Of many labels, a text has the cues of one theme or two. Of a regression, the share of cues of the first theme among
those of the first two is the score. Of words, cues are entities of their theme's kind, among words that are none.
"""

from collections.abc import Callable, Sequence

import numpy as np

from fastbert_core.tasks import Task

CUES = 4
SECOND = 0.3  # chance of a second label
ENTITIES = (1, 2)  # fewest and most of a sentence
PLAIN = (3, 8)  # words that are none, fewest and most

# From a generator of random numbers and the number of a row, its texts and its label.
Row = tuple[tuple[str, ...], object]
Make = Callable[[np.random.Generator, int], Row]


def rows_of(task: Task, themes: list[list[str]], background: Sequence[str]) -> Make:
    """What makes the rows of a task, of the words of `themes` and of `background`."""
    joint = "" if task.language == "zh" else " "

    def text(rng: np.random.Generator, cues: Sequence[str]) -> str:
        words = [*cues, *_some(rng, background, rng.integers(PLAIN[0], PLAIN[1] + 1))]
        return joint.join(words[at] for at in rng.permutation(len(words)))

    def many(rng: np.random.Generator, number: int) -> Row:
        classes = len(task.classes)
        held = {number % classes}
        if rng.random() < SECOND:
            held.add(int(rng.integers(classes)))
        return (text(rng, [cue for label in held for cue in _some(rng, themes[label], CUES)]),), tuple(sorted(held))

    def score(rng: np.random.Generator, number: int) -> Row:
        share = number % (CUES + 1)
        cues = [*_some(rng, themes[0], share), *_some(rng, themes[1], CUES - share)]
        texts = text(rng, cues), *([text(rng, [])] if task.pair else [])
        return texts, share / CUES

    def tagged(rng: np.random.Generator, number: int) -> Row:
        tags = {tag: at for at, tag in enumerate(task.classes)}
        kinds = sorted({tag[2:] for tag in task.classes[1:]})
        words = [(word, "O") for word in _some(rng, background, rng.integers(PLAIN[0], PLAIN[1] + 1))]
        for entity in range(rng.integers(ENTITIES[0], ENTITIES[1] + 1)):
            kind = kinds[(number + entity) % len(kinds)]
            cues = _some(rng, themes[kinds.index(kind)], int(rng.integers(1, 4)))
            place = int(rng.choice([at for at, (_, tag) in enumerate([*words, ("", "O")]) if tag[0] in "OBS"]))
            words[place:place] = zip(cues, _scheme(kind, len(cues), tags), strict=True)
        return (" ".join(word for word, _ in words),), tuple(tags[tag] for _, tag in words)

    return {"multi-label": many, "regression": score, "sequence-labelling": tagged}[task.type]


def _some(rng: np.random.Generator, words: Sequence[str], count: int) -> list[str]:
    return [words[rng.integers(len(words))] for _ in range(count)]


def _scheme(kind: str, length: int, tags: dict[str, int]) -> list[str]:
    """The tags of an entity's words, in the scheme of the task: those of its prefixes that the kind has."""
    inside = next((f"{prefix}-{kind}" for prefix in "MI" if f"{prefix}-{kind}" in tags), f"B-{kind}")
    last = f"E-{kind}" if f"E-{kind}" in tags else inside
    if length == 1:
        return [next((tag for tag in (f"S-{kind}", f"B-{kind}") if tag in tags), "O")]
    return [f"B-{kind}", *[inside] * (length - 2), last]
