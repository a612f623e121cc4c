"""FastBERT at the FLOPs of another model: of DistilBERT, of one student alone, of the training on labels."""

from collections.abc import Iterator, Sequence
from functools import partial

import numpy as np
import pandas as pd

from fastbert_core.flops import paper_flops
from fastbert_core.metrics import at_flops, at_speed, dense
from fastbert_core.trace import Trace
from reproductions.compare import Averaged, compared, paired, seeds_and_runs, select, tasks_of, with_holm
from reproductions.figure3_speed_accuracy import MODELS
from reproductions.speeds import CHOSEN
from reproductions.statistics import crossed_bootstrap
from reproductions.table2 import STUDENTS, full_depth
from reproductions.table3 import PAPER_SPEEDS

DISTILBERT, ONE_STUDENT, ON_LABELS = "DistilBERT", "one student", MODELS["labels"]
ALL_DEPTHS = "all mean layers"  # the area between two curves: their mean over mean layers 1, 2, … to the last


def equal_flops(traces: Sequence[Trace]) -> pd.DataFrame:
    """`equal_flops.csv`: FastBERT at the slowest speed whose mean FLOPs are at most the other's, against the other.

    Everything but the FLOPs is of the seeds that both have. McNemar's p-values are Holm-corrected over all rows
    against the same other model.
    """
    rows = []
    for task in tasks_of(traces):
        fastbert = select(traces, task)
        for against, setting, other in _others(task, traces):
            adaptive = Averaged(fastbert, partial(at_flops, flops=other.flops))
            if pair := paired(adaptive, other):
                numbers = {
                    "against_accuracy": 100 * float(pair.second.mean()),
                    "mflops": other.flops / 1e6,
                    "accuracy": 100 * float(pair.first.mean()),
                    **compared(pair.first, pair.second),
                    **seeds_and_runs(fastbert, other.traces, seeds=pair.seeds),
                }
                rows.append({"task": task, "against": against, "against_setting": setting} | numbers)
        if area := _area(fastbert, select(traces, task, "labels")):
            rows.append({"task": task, "against": ON_LABELS, "against_setting": ALL_DEPTHS} | area)
    return with_holm(rows, ["against"])


def _others(task: str, traces: Sequence[Trace]) -> Iterator[tuple[str, str, Averaged]]:
    """The models that FastBERT is compared with: name, setting, and what they do on the test set."""
    for training in STUDENTS:
        if distilbert := select(traces, task, training):
            yield DISTILBERT, full_depth(distilbert), Averaged(distilbert, dense)
    fastbert, dev = select(traces, task), select(traces, task, split="dev")
    students = fastbert[0].metadata["layers"][:-1]
    best = max(students, key=lambda k: Averaged(dev, partial(dense, layer=k)).accuracy) if dev and students else None
    for layer in students:
        setting = f"layer={layer} {CHOSEN}" if layer == best else f"layer={layer}"
        yield ONE_STUDENT, setting, Averaged(fastbert, partial(dense, layer=layer))
    if on_labels := select(traces, task, "labels"):
        for speed in PAPER_SPEEDS:
            yield ON_LABELS, f"speed={speed:g}", Averaged(on_labels, partial(at_speed, speed=speed))


def _area(first: Sequence[Trace], second: Sequence[Trace]) -> dict | None:
    """The columns of the comparison over all depths; None without a seed in common."""
    seeds = sorted({t.metadata["seed"] for t in first} & {t.metadata["seed"] for t in second})
    if not seeds:
        return None
    shape, depths = first[0].shape, first[0].metadata["layers"]
    costs = [paper_flops(shape, depth) for depth in depths]
    sides = [[Averaged(group, partial(at_flops, flops=flops)) for flops in costs] for group in (first, second)]
    right = [sum(used.of_seeds(seeds).astype(np.int64) for used in side) for side in sides]  # of so many depths
    low, high = crossed_bootstrap(right[0] - right[1])
    ours, theirs = (100 * float(side.mean()) / len(depths) for side in right)
    return {
        "against_accuracy": theirs,
        "mflops": float(np.mean([used.flops for used in sides[1]])) / 1e6,
        "accuracy": ours,
        "difference": ours - theirs,
        "difference_low": 100 * low / len(depths),
        "difference_high": 100 * high / len(depths),
        **seeds_and_runs(first, second, seeds=seeds),
    }
