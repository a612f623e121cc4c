"""The students one by one: why they lose, and whether one of them alone would do."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastbert_core.metrics import at_flops, dense
from fastbert_core.trace import Trace
from reproductions.answers.answer import Answer, counted, interval, signs, unanswered
from reproductions.compare import Averaged, paired, select, tasks_of
from reproductions.figure4_luha import ALPHA, BINS, FEW, bin_of
from reproductions.statistics import holm, mcnemar


def students_lose(traces: Sequence[Trace]) -> Answer:
    """Accuracy = Σ share of bin × accuracy in bin: the difference to the teacher, split into these two causes."""
    rows, differences, by_shares_alone = [], [], 0
    for task in tasks_of(traces):
        fastbert = select(traces, task)
        depth = len(fastbert[0].metadata["layers"])
        for layer in sorted({1, depth // 2} - {0, depth}):
            student, teacher = _both_bins(fastbert, layer, depth)
            by_share = 100 * ((student.share - teacher.share) * (student.accuracy + teacher.accuracy) / 2).sum()
            by_accuracy = 100 * ((student.accuracy - teacher.accuracy) * (student.share + teacher.share) / 2).sum()
            full = (student.samples >= FEW) & (teacher.samples >= FEW)
            difference = paired(*(Averaged(fastbert, partial(dense, layer=k)) for k in (layer, depth)))
            differences.append(difference)
            by_shares_alone += difference.high < 0 <= by_accuracy
            rows.append(
                {
                    "task": task,
                    "student": f"layer {layer}",
                    "more accurate in": f"{(student.accuracy > teacher.accuracy)[full].sum()} of {full.sum()} bins",
                    "surest tenth, student": f"{100 * student.share[0]:.1f}%",
                    "surest tenth, teacher": f"{100 * teacher.share[0]:.1f}%",
                    "student - teacher": interval(difference),
                    "from the shares": f"{by_share:+.2f}",
                    "from accuracy within bins": f"{by_accuracy:+.2f}",
                }
            )
    if not rows:
        return unanswered("a FastBERT test trace")
    better, worse = signs(differences)
    less = f"{worse} of {len(rows)} students are less accurate than the teacher, {better} more"
    if by_shares_alone:
        line = (
            f"Because more of their samples lie in bins where both are less accurate: {less}; over all bins "
            f"{by_shares_alone} of the {worse} are not less accurate within them."
        )
    else:
        line = f"None here does: {less}{'; those that lose are less accurate within bins too' if worse else ''}."
    about = (
        f"Bins of uncertainty 0.1 wide; *more accurate in* leaves out those with fewer than {FEW} samples on either "
        "side. The last two columns are over all bins and add up to the difference: other shares of the bins at mean "
        "accuracy, other accuracy at mean shares. A bin that one side leaves empty counts as shares alone."
    )
    return Answer(line, pd.DataFrame(rows), about)


def one_student(traces: Sequence[Trace]) -> Answer:
    """The best single student, chosen on dev, alone at its depth, against adaptive inference at equal FLOPs."""
    rows, differences = [], []
    for task in tasks_of(traces):
        fastbert, dev = select(traces, task), select(traces, task, split="dev")
        students = fastbert[0].metadata["layers"][:-1]
        if not dev or not students:
            continue
        alone = {k: Averaged(fastbert, partial(dense, layer=k)) for k in students}
        adaptive = {k: Averaged(fastbert, partial(at_flops, flops=alone[k].flops)) for k in students}
        best = max(students, key=lambda k: Averaged(dev, partial(dense, layer=k)).accuracy)
        differences.append(paired(adaptive[best], alone[best]))
        first = [(adaptive[k].correct[0], alone[k].correct[0]) for k in students]
        significant = holm([mcnemar(*pair) for pair in first]) < ALPHA
        gains = np.array([int(one.sum()) - int(other.sum()) for one, other in first])
        rows.append(
            {
                "task": task,
                "best student": f"layer {best}",
                "alone": f"{alone[best].accuracy:.2f}",
                "adaptive, equal FLOPs": f"{adaptive[best].accuracy:.2f}",
                "adaptive - alone": interval(differences[-1]),
                "depths won": (significant & (gains > 0)).sum(),
                "depths lost": (significant & (gains < 0)).sum(),
            }
        )
    if not rows:
        return unanswered("a FastBERT test trace and its dev trace")
    won, lost = (sum(row[f"depths {end}"] for row in rows) for end in ("won", "lost"))
    line = (
        f"At equal FLOPs adaptive inference is {counted(differences, 'the best single student')}; "
        f"over students of every depth it wins significantly {won} times and loses {lost} times."
    )
    about = (
        "The best student is the one most accurate on dev; alone, it runs its layers and its own classifier only. "
        "Depths won and lost: over all students, McNemar's exact test on the first seed, Holm-corrected by task."
    )
    return Answer(line, pd.DataFrame(rows), about)


class _Bins(NamedTuple):
    samples: np.ndarray
    share: np.ndarray
    accuracy: np.ndarray


def _both_bins(traces: Sequence[Trace], *layers: int) -> tuple[_Bins, _Bins]:
    """The bins of two layers' classifiers; one's empty bin has the other's accuracy, since it has none of its own."""
    one, other = (_bins(traces, layer) for layer in layers)
    return (
        one._replace(accuracy=np.where(one.samples, one.accuracy, other.accuracy)),
        other._replace(accuracy=np.where(other.samples, other.accuracy, one.accuracy)),
    )


def _bins(traces: Sequence[Trace], layer: int) -> _Bins:
    """Samples, their share and their accuracy in each bin, [bins], all seeds together; an empty bin's accuracy is 0."""
    bins = np.concatenate([bin_of(trace.uncertainties[:, layer - 1]) for trace in traces])
    correct = np.concatenate([trace.correct[:, layer - 1] for trace in traces])
    samples = np.bincount(bins, minlength=BINS)
    return _Bins(samples, samples / len(bins), np.bincount(bins, correct, BINS) / np.maximum(samples, 1))
