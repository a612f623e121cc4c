"""Trainings beside FastBERT's own, on equal data, seeds and precision: at equal layers, and in the last layer.

Exits are compared under entropy, FastBERT's rule, and under patience, which joint training is said to suit (PABEE):
so patience stands beside the same training under entropy too. Thresholds are swept on the test set, for all alike.
"""

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pandas as pd

from fastbert_core.trace import Trace
from reproductions.compare import compared, seeds_and_runs, select, tasks_of, with_holm
from reproductions.names import SELF_DISTILLATION
from reproductions.rules import Side

BASE, PATIENCE = "entropy", "patience"  # FastBERT's rule, PABEE's
ITSELF = "itself"  # what patience is held against beside FastBERT's own training: the same one, under entropy
LAYERS = (2, 4, 6)  # mean executed layers, at most, at which exits are compared
LAST = "none"  # the rule of the last layer alone, which a shallow model has too


def trainings(traces: Sequence[Trace]) -> pd.DataFrame:
    """`trainings.csv`: of each task with another training than FastBERT's; Holm-corrected over tasks and trainings."""
    rows = []
    for task in tasks_of(traces):
        names = sorted({trace.metadata["training"] for trace in traces if trace.metadata["task"] == task})
        of = {name: tests for name in names if (tests := select(traces, task, training=name))}
        if len(of) > 1:
            base = {test.metadata["seed"]: Side(BASE, test, None) for test in of[SELF_DISTILLATION]}
            rows += [row for name, tests in of.items() for row in _of_training(task, name, tests, base)]
    return with_holm(rows, ["rule", "layers", "against"])


def _of_training(task: str, name: str, tests: Sequence[Trace], base: Mapping[int, Side]) -> Iterator[dict]:
    """The rows of one training; `base` is FastBERT's own under entropy, by seed."""
    pairs = [(test, base[test.metadata["seed"]]) for test in tests if test.metadata["seed"] in base]
    if not pairs:
        return
    key = {"task": task, "training": name}
    tests, entropy = zip(*pairs, strict=True)
    depth, deepest = (trace.metadata["layers"][-1] for trace in (tests[0], entropy[0].trace))
    mine, theirs = ([trace.correct[:, -1] for trace in of] for of in (tests, [side.trace for side in entropy]))
    if depth < deepest:  # beside a shallow model, FastBERT's own at so many mean layers
        first = [side.trace.correct[:, 0] for side in entropy]  # of one layer, where no sample stays however unsure
        theirs = first if depth == 1 else _within(entropy, depth)
    found = [((LAST, depth, SELF_DISTILLATION), mine, theirs)]
    if tests[0].has_exits:
        patient = [Side(PATIENCE, test, None) for test in tests]
        own = entropy if name == SELF_DISTILLATION else [Side(BASE, test, None) for test in tests]
        for layers in (layers for layers in LAYERS if layers < depth):
            for rule, side, against, other in (
                (BASE, own, SELF_DISTILLATION, entropy),
                (PATIENCE, patient, SELF_DISTILLATION, entropy),
                (PATIENCE, patient, ITSELF, own),
            ):
                found.append(((rule, layers, against), _within(side, layers), _within(other, layers)))
    for (rule, layers, against), mine, theirs in found:
        if mine is not None and theirs is not None:
            named = {"rule": rule, "layers": layers, "against": against}
            yield key | named | _against(mine, theirs) | seeds_and_runs(tests)


def _within(sides: Sequence[Side], layers: int) -> list[np.ndarray] | None:
    """Who is right where samples execute at most so many layers on average; None where a rule gets to no such cost."""
    found = [side.within(layers * side.cost[0]) for side in sides]
    return None if None in found else [outcome.correct for outcome in found]


def _against(mine: Sequence[np.ndarray], theirs: Sequence[np.ndarray]) -> dict:
    mine, theirs = np.stack(mine), np.stack(theirs)  # [seeds, samples]
    found = {"accuracy": 100 * float(mine.mean()), **compared(mine, theirs)}
    # FastBERT's own training beside itself is no test.
    return found | ({"mcnemar_p": np.nan} if np.array_equal(mine, theirs) else {})
