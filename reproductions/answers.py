"""Answers to a careful reader's questions, each a pure function of traces: one line, and the numbers behind it."""

from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastbert_core.flops import paper_flops
from fastbert_core.metrics import at_flops, at_speed, curve, dense, encoder_shape
from fastbert_core.trace import Trace
from reproductions.audit import corrected
from reproductions.averaged import Averaged, Paired, paired, select, tasks_of
from reproductions.calibration import at_temperature, confidence, fitted_temperature
from reproductions.luha import ALPHA, BINS, FEW, bin_of
from reproductions.paper_rows import AT_CHANCE
from reproductions.speed_accuracy import SPEEDS
from reproductions.statistics import holm, mcnemar
from reproductions.table2 import PAPER_SPEEDS, STUDENTS

EASY = 95.0  # per cent of the teacher, from which a task counts as very easy
CALIBRATED = 5.0  # points that confidence may lie off accuracy
MIDDLE_SPEED = PAPER_SPEEDS[1]
DEPTHS = (1.5, 2.0, 3.0, 4.0, 6.0)  # mean executed layers at which variants are compared


class Answer(NamedTuple):
    """One line, the numbers behind it (may be empty), and what they are."""

    line: str
    table: pd.DataFrame = pd.DataFrame()
    about: str = ""


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
                    "student - teacher": _interval(difference),
                    "from the shares": f"{by_share:+.2f}",
                    "from accuracy within bins": f"{by_accuracy:+.2f}",
                }
            )
    if not rows:
        return _unanswered("a FastBERT test trace")
    better, worse = _signs(differences)
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
                "adaptive - alone": _interval(differences[-1]),
                "depths won": (significant & (gains > 0)).sum(),
                "depths lost": (significant & (gains < 0)).sum(),
            }
        )
    if not rows:
        return _unanswered("a FastBERT test trace and its dev trace")
    won, lost = (sum(row[f"depths {end}"] for row in rows) for end in ("won", "lost"))
    line = (
        f"At equal FLOPs adaptive inference is {_counted(differences, 'the best single student')}; "
        f"over students of every depth it wins significantly {won} times and loses {lost} times."
    )
    about = (
        "The best student is the one most accurate on dev; alone, it runs its layers and its own classifier only. "
        "Depths won and lost: over all students, McNemar's exact test on the first seed, Holm-corrected by task."
    )
    return Answer(line, pd.DataFrame(rows), about)


def easy_tasks(traces: Sequence[Trace]) -> Answer:
    """Self-distillation against labels at equal FLOPs, tasks with a teacher of at least 95% apart."""
    rows, easy, others = [], [], []
    for task in _with_labels(traces):
        fastbert, labels = select(traces, task), select(traces, task, variant="labels")
        accuracy = Averaged(fastbert, dense).accuracy
        row = {"task": task, "teacher": f"{accuracy:.2f}"}
        for layers in DEPTHS:
            flops = layers * paper_flops(encoder_shape(fastbert[0]), 1)
            difference = paired(*(Averaged(group, partial(at_flops, flops=flops)) for group in (fastbert, labels)))
            (easy if accuracy >= EASY else others).append(difference)
            row[f"{layers:g} layers"] = _interval(difference)
        rows.append(row)
    about = "Self-distilled - trained on labels, at equal mean executed layers; each cell is a comparison."
    on_others = f"on the other tasks self-distillation is {_counted(others, 'labels')}" if others else ""
    if not easy:
        needs = f"FastBERT with and without self-distillation on a task with a teacher of {EASY:g}%"
        return _unanswered(f"{needs}; {on_others}" if others else needs)._replace(table=pd.DataFrame(rows), about=about)
    line = f"{_lead(easy)}: with a teacher of {EASY:g}% or more self-distillation is {_counted(easy, 'labels')}"
    return Answer(f"{line}; {on_others}." if others else f"{line}.", pd.DataFrame(rows), about)


def bargain(traces: Sequence[Trace]) -> Answer:
    """Yelp.P: the variant without self-distillation at the paper's speeds, against FastBERT at its FLOPs."""
    task = "yelp-polarity"
    if task not in _with_labels(traces):
        return _unanswered(f"FastBERT with and without self-distillation on {task}")
    fastbert, rows, differences = select(traces, task), [], []
    for speed in (0.2, 0.7):
        labels = Averaged(select(traces, task, variant="labels"), partial(at_speed, speed=speed))
        same_speed = Averaged(fastbert, partial(at_speed, speed=speed))
        equal = Averaged(fastbert, partial(at_flops, flops=labels.flops))
        differences.append(paired(labels, equal))
        rows.append(
            {
                "speed": speed,
                "without": f"{labels.accuracy:.2f} at {labels.flops / 1e6:.0f}M",
                "FastBERT, same speed": f"{same_speed.accuracy:.2f} at {same_speed.flops / 1e6:.0f}M",
                "FastBERT, equal FLOPs": f"{equal.accuracy:.2f} at {equal.flops / 1e6:.0f}M",
                "without - FastBERT, equal FLOPs": _interval(differences[-1]),
            }
        )
    line = f"{_lead(differences)}: at equal FLOPs the variant is {_counted(differences, 'FastBERT')}."
    return Answer(line, pd.DataFrame(rows), "Accuracy and mean FLOPs on the test set.")


def beats_distilbert(traces: Sequence[Trace]) -> Answer:
    """DistilBERT of every depth against FastBERT at its FLOPs."""
    rows, p_values, by_depth, at_chance = [], [], {variant: [] for variant in STUDENTS}, 0
    for task in tasks_of(traces):
        for variant in STUDENTS:
            if not (students := select(traces, task, "distilbert", variant)):
                continue
            student = Averaged(students, dense)
            equal = Averaged(select(traces, task), partial(at_flops, flops=student.flops))
            if not (difference := paired(equal, student)):
                continue
            first = difference.seeds[:1]
            p_values.append(mcnemar(equal.of_seeds(first)[0], student.of_seeds(first)[0]))
            by_depth[variant].append(difference)
            at_chance += student.at_chance
            names = {
                "task": task,
                "DistilBERT": variant.replace("-", " "),
                "its accuracy": f"{student.accuracy:.2f}" + (", chance" if student.at_chance else ""),
            }
            rows.append(names | {"FastBERT": f"{equal.accuracy:.2f}", "FastBERT - DistilBERT": _interval(difference)})
    if not rows:
        return _unanswered("FastBERT and DistilBERT test traces of one task and seed")
    differences = [difference for group in by_depth.values() for difference in group]
    depths = [
        "{} {} better, {} worse of {}".format(variant.replace("-", " "), *_signs(group), len(group))
        for variant, group in by_depth.items()
        if group
    ]
    line = (
        f"{_lead(differences)}: at equal FLOPs FastBERT is {_counted(differences, 'DistilBERT')}; "
        f"by DistilBERT's depth: {'; '.join(depths)}."
    )
    if at_chance:
        line += f" {at_chance} of the DistilBERTs {'is' if at_chance == 1 else 'are'} {AT_CHANCE}."
    table = pd.DataFrame(rows).assign(
        **{"McNemar p, Holm": ["< 0.0001" if p < 1e-4 else f"{p:.4f}" for p in holm(p_values)]}
    )
    return Answer(line, table, "McNemar's exact test on the first common seed, Holm-corrected over the table.")


def as_sure_as_right(traces: Sequence[Trace]) -> Answer:
    """The teacher's confidence beside its accuracy, and what a temperature fitted on dev makes of a speed."""
    rows, unsure, sure = [], [], []
    for task in tasks_of(traces):
        fastbert, dev = select(traces, task), select(traces, task, split="dev")
        if [t.metadata["seed"] for t in dev] != [t.metadata["seed"] for t in fastbert]:
            continue
        temperatures = [fitted_temperature(trace) for trace in dev]
        fitted = [at_temperature(trace, t) for trace, t in zip(fastbert, temperatures, strict=True)]
        as_is, rescaled = (Averaged(group, partial(at_speed, speed=MIDDLE_SPEED)) for group in (fastbert, fitted))
        accuracy, sureness = Averaged(fastbert, dense).accuracy, float(np.mean([confidence(t) for t in fastbert]))
        if abs(sureness - accuracy) > CALIBRATED:
            (unsure if sureness < accuracy else sure).append(task)
        rows.append(
            {
                "task": task,
                "accuracy": f"{accuracy:.2f}",
                "confidence": f"{sureness:.2f}",
                "least uncertainty": f"{min(trace.uncertainties[:, -1].min() for trace in fastbert):.2f}",
                "temperature": ", ".join(f"{t:.2f}" for t in temperatures),
                f"speed {MIDDLE_SPEED:g}": _at_layers(as_is),
                "at the temperature": _at_layers(rescaled),
            }
        )
    if not rows:
        return _unanswered("a FastBERT test trace and its dev trace")
    calibrated = len(rows) - len(unsure) - len(sure)
    line = f"{calibrated} of {len(rows)} teachers are, within {CALIBRATED:g} points"
    for tasks, how in ((unsure, "less"), (sure, "more")):
        line += f"; {how} sure than right on {', '.join(tasks)}" if tasks else ""
    about = (
        "Where it is less sure than right, samples stay longer than they need to: one speed does not mean the same to "
        "two teachers. *Confidence*: mean probability of the teacher's answer, in per cent; *least uncertainty*: the "
        "teacher's smallest on the test set. *Temperature*: fitted to the teacher on the dev trace, by likelihood; "
        "below 1 it makes all classifiers surer, and no prediction changes. The last two columns are accuracy at mean "
        f"layers, at speed {MIDDLE_SPEED:g}."
    )
    return Answer(f"{line}.", pd.DataFrame(rows), about)


def linear(traces: Sequence[Trace]) -> Answer:
    """Speedup against speed: how far from the straight line that the paper's future work asks for."""
    rows, explained = [], []
    for task in tasks_of(traces):
        speedup = np.mean([curve(trace, SPEEDS)["speedup"] for trace in select(traces, task)], axis=0)
        line = speedup[0] + (speedup[-1] - speedup[0]) * SPEEDS
        worst = int(np.abs(speedup - line).argmax())
        explained.append(np.corrcoef(SPEEDS, speedup)[0, 1] ** 2 if np.ptp(speedup) else 1.0)
        rows.append(
            {
                "task": task,
                "R²": f"{explained[-1]:.3f}",
                **{f"speed {SPEEDS[k]:g}": f"{speedup[k]:.2f}x" for k in (10, 50, 90)},
                "farthest from the line": f"{speedup[worst] - line[worst]:+.2f}x at speed {SPEEDS[worst]:g}",
            }
        )
    if not rows:
        return _unanswered("a FastBERT test trace")
    least, most = 100 * min(explained), 100 * max(explained)
    line = f"A straight line explains {least:.1f}% to {most:.1f}% of the speedup's variance."
    about = (
        "By task, over 101 speeds. R² is of the least-squares line; the *line* of the last column joins the two ends "
        "of the curve."
    )
    return Answer(line, pd.DataFrame(rows), about)


def misprint(traces: Sequence[Trace]) -> Answer:
    """Table 3's FLOPs of Yelp.P at speed 0.2, by arithmetic alone."""
    row = corrected().query("task == 'yelp-polarity' and model == 'FastBERT' and setting == 'speed=0.2'").iloc[0]
    return Answer(f"Yes: {row['misprint']}." if row["misprint"] else "No: it follows from the paper's other numbers.")


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


def _with_labels(traces: Sequence[Trace]) -> list[str]:
    """Tasks that have FastBERT and the variant without self-distillation, with a seed in common."""

    def seeds(task: str, variant: str) -> set[int]:
        return {trace.metadata["seed"] for trace in select(traces, task, variant=variant)}

    return [task for task in tasks_of(traces) if seeds(task, "default") & seeds(task, "labels")]


def _at_layers(used: Averaged) -> str:
    return f"{used.accuracy:.2f} at {np.mean([outcome.mean_layers for outcome in used.outcomes]):.2f}"


def _interval(difference: Paired) -> str:
    return f"{difference.difference:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


def _signs(differences: Sequence[Paired]) -> tuple[int, int]:
    """How many lie above 0, and how many below, with their whole interval."""
    return sum(difference.low > 0 for difference in differences), sum(difference.high < 0 for difference in differences)


def _counted(differences: Sequence[Paired], other: str) -> str:
    better, worse = _signs(differences)
    undecided = len(differences) - better - worse
    return (
        f"better than {other} in {better} of {len(differences)} comparisons, worse in {worse}, undecided in {undecided}"
    )


def _lead(differences: Sequence[Paired]) -> str:
    better, worse = _signs(differences)
    if better and worse:
        return "It depends"
    return "Yes" if better else "No" if worse else "Undecided"


def _unanswered(needs: str) -> Answer:
    return Answer(f"Not answered here: it needs {needs}.")
