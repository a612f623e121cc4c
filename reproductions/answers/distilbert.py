"""FastBERT against DistilBERT."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from fastbert_core.metrics import at_flops, dense
from fastbert_core.trace import Trace
from reproductions.answers.answer import Answer, counted, interval, lead, signs, unanswered
from reproductions.compare import Averaged, paired, select, tasks_of
from reproductions.figure4_luha import ALPHA
from reproductions.paper_rows import AT_CHANCE
from reproductions.statistics import holm, mcnemar
from reproductions.table2 import STUDENTS


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
            rows.append(names | {"FastBERT": f"{equal.accuracy:.2f}", "FastBERT - DistilBERT": interval(difference)})
    if not rows:
        return unanswered("FastBERT and DistilBERT test traces of one task and seed")
    differences = [difference for group in by_depth.values() for difference in group]
    corrected = holm(p_values)
    depths = [
        "{} {} better, {} worse of {}".format(variant.replace("-", " "), *signs(group), len(group))
        for variant, group in by_depth.items()
        if group
    ]
    line = (
        f"{lead(differences)}: at equal FLOPs FastBERT is {counted(differences, 'DistilBERT')}; "
        f"by DistilBERT's depth: {'; '.join(depths)}."
    )
    if at_chance:
        line += f" {at_chance} of the DistilBERTs {'is' if at_chance == 1 else 'are'} {AT_CHANCE}."
    table = pd.DataFrame(rows).assign(
        **{"McNemar p, Holm": ["< 0.0001" if p < 1e-4 else f"{p:.4f}" for p in corrected]}
    )
    about = (
        "McNemar's exact test on the first common seed, Holm-corrected over the table: "
        f"{sum(corrected < ALPHA)} of the {len(rows)} differences are significant."
    )
    return Answer(line, table, about)
