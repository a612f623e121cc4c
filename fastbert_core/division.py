"""Which rows a classifier learns from, which choose its epoch, which its thresholds, and which test it."""

from dataclasses import dataclass

import numpy as np

from fastbert_core.data import halves, without
from fastbert_core.errors import InputError
from fastbert_core.task_types import SINGLE, TASK_TYPES, TaskType
from fastbert_core.tsv import Split

ENOUGH = 2000  # rows that choose the best epoch, and as many that thresholds are chosen on
HELD_OUT = 0.2  # of the rows, at most, where there is no dev file
FEWEST = 20  # rows to train on at all
SEED = 7  # whatever the training's: all train and test on the same rows


@dataclass(frozen=True)
class Data:
    """What a classifier learns from. Labels are -1 where a row has none.

    train: rows to learn from, unlabelled ones among them
    selection: rows that choose the best epoch; calibration: those that thresholds are chosen on, of which some may have
        no labels; test: None where there is none
    said: what a person should know of it, line by line
    type: of the task, one of TASK_TYPES; scores: the least and the largest of a regression
    """

    name: str
    classes: tuple[str, ...]
    pair: bool
    train: Split
    selection: Split
    calibration: Split
    test: Split | None
    sha256: str
    said: tuple[str, ...] = ()
    type: str = SINGLE.name
    scores: tuple[float, float] | None = None


def divided(
    name: str,
    classes: tuple[str, ...],
    splits: dict[str, Split],
    said: list[str],
    needs_labels: bool,
    sha256: str,
    type: str,
    scores: tuple[float, float] | None,
) -> Data:
    """The rows of `splits` (train, and dev and test where there are such) by what they serve, as `prepare` says.

    said: what a person should know of them so far. Raises InputError, beginning with `name`, for too few rows.
    """
    kind = TASK_TYPES[type]
    train, dev, test = (splits.get(split) for split in ("train", "dev", "test"))
    left_out = 0
    if test is not None:
        train, left_out = _left_out(train, test)
        said += [f"{left_out} training rows left out, their texts stand in test too"] * bool(left_out)
        test = test.take(np.flatnonzero(kind.known(test.labels)))
        if needs_labels and not len(test):
            raise InputError(f"{name}: found no label in the test rows, expected some to test by")
    if len(train) < FEWEST:
        why = f" beside {left_out} whose texts stand in test too" if left_out else ""
        raise InputError(f"{name}: found {len(train)} rows to learn from{why}, expected at least {FEWEST}")
    if dev is None:
        train, dev = _hold_out(train, kind)
        dev, left_out = _left_out(dev, train)
    else:
        dev, left_out = _left_out(dev, *(rows for rows in (train, test) if rows is not None))
    said += [f"{left_out} held-out rows left out, their texts stand in other rows too"] * bool(left_out)
    labelled = kind.known(dev.labels)
    selection, calibration = halves(dev.take(np.flatnonzero(labelled)) if needs_labels else dev, SEED)
    if needs_labels:
        calibration = join(calibration, dev.take(np.flatnonzero(~labelled)))
    selection, calibration = (part.take(np.arange(min(ENOUGH, len(part)))) for part in (selection, calibration))
    if not len(selection) or len(calibration) < 2:
        where = "train" if test is None else "train or test"
        why = f" beside {left_out} whose texts stand in {where} too" if left_out else ""
        remedy = "give more rows, or others in --dev FILE"
        which = " with a label" if needs_labels and not labelled.all() else ""
        found = f"{int(labelled.sum()) if which else len(dev)} held-out rows{which}"
        raise InputError(f"{name}: found {found}{why}, expected 4 or more; {remedy}")
    if needs_labels:
        learnt = train.labels[kind.known(train.labels)]
        if missing := [classes[at] for at in kind.unseen(learnt, len(classes))]:
            expected = "expected at least one of each class that stands in no other split"
            raise InputError(f"{name}: found no training row of class {', '.join(missing[:5])}, {expected}")
    if without_label := int((~kind.known(train.labels)).sum()):
        said.append(f"{without_label} training rows have no label: they serve distillation and thresholds")
    return Data(
        name, classes, train.pairs is not None, train, selection, calibration, test, sha256, tuple(said), type, scores
    )


def _left_out(rows: Split, *others: Split) -> tuple[Split, int]:
    kept = without(rows, *others)
    return kept, len(rows) - len(kept)


def _hold_out(rows: Split, kind: TaskType) -> tuple[Split, Split]:
    """What stays, and a seeded part of each class, and of the unlabelled, of which one row at least stays."""
    share = min(HELD_OUT, 2 * ENOUGH / len(rows))
    rng, held = np.random.default_rng(SEED), []
    strata = kind.strata(rows.labels)
    for label in np.unique(strata):
        of_class = rng.permutation(np.flatnonzero(strata == label))
        held.append(of_class[: min(len(of_class) - 1, round(share * len(of_class)))])
    held = np.sort(np.concatenate(held))
    return rows.take(np.setdiff1d(np.arange(len(rows)), held)), rows.take(held)


def join(*splits: Split) -> Split:
    """The rows of several splits, one after the other."""
    texts = [text for split in splits for text in split.texts]
    pairs = None if splits[0].pairs is None else [text for split in splits for text in split.pairs]
    return Split(texts, pairs, np.concatenate([split.labels for split in splits]))
