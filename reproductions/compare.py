"""One model, used one way, over all its seeds: the unit that rows of tables are made of."""

from collections.abc import Callable, Iterator, Sequence
from functools import cached_property
from typing import NamedTuple

import numpy as np
import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.metrics import Outcome, describe
from fastbert_core.task_metrics import METRICS
from fastbert_core.trace import Trace
from reproductions.names import SELF_DISTILLATION
from reproductions.statistics import Interval, accuracy_interval, holm, paired_interval, paired_p


def select(traces: Sequence[Trace], task: str, training: str = SELF_DISTILLATION, split: str = "test") -> list[Trace]:
    """The traces of one trained model, by seed; epoch traces are left out.

    Raises InputError if the seeds were trained on different encoders or for different classes: no average is of both.
    """
    wanted = {"task": task, "training": training, "split": split, "epoch": None}
    found = [t for t in traces if all(t.metadata.get(name) == want for name, want in wanted.items())]
    found.sort(key=lambda trace: trace.metadata["seed"])
    for trace in found[1:]:
        if any(trace.metadata.get(name) != found[0].metadata.get(name) for name in ("backbone", "encoder", "classes")):
            raise InputError(f"{describe(trace)}: found another encoder or classes than in the {describe(found[0])}")
    return found


def tasks_of(traces: Sequence[Trace]) -> list[str]:
    """Names of the tasks that have a test trace of FastBERT, sorted."""
    names = {trace.metadata["task"] for trace in traces}
    return sorted(name for name in names if select(traces, name))


def trained(traces: Sequence[Trace]) -> Iterator[tuple[str, str, list[Trace], list[Trace | None]]]:
    """Each task and training, its test traces by seed, and beside each the dev trace of that seed, if it keeps one."""
    for task, training in sorted({(trace.metadata["task"], trace.metadata["training"]) for trace in traces}):
        if tests := select(traces, task, training):
            devs = {dev.metadata["seed"]: dev for dev in select(traces, task, training, "dev")}
            yield task, training, tests, [devs.get(test.metadata["seed"]) for test in tests]


class Averaged:
    """What `use` makes of the traces of one model, one trace for each seed, all on the same samples.

    Raises InputError if the traces are not of the same samples.
    """

    def __init__(self, traces: Sequence[Trace], use: Callable[[Trace], Outcome]) -> None:
        check_same_samples(traces)
        self.traces = list(traces)
        self.outcomes = [use(trace) for trace in traces]

    @cached_property
    def correct(self) -> np.ndarray:
        """Who is right, bool [seeds, samples], or how right, in [0, 1], of task types that grade an answer."""
        return np.stack([outcome.correct for outcome in self.outcomes])

    @property
    def seeds(self) -> list[int]:
        """The seeds, ascending."""
        return [trace.metadata["seed"] for trace in self.traces]

    @property
    def accuracy(self) -> float:
        """Per cent of samples that are right, the mean over seeds."""
        return 100 * self.correct.sum().item() / self.correct.size

    @property
    def flops(self) -> float:
        """Mean FLOPs of a sample, paper's unit, over samples and seeds."""
        return float(np.mean([outcome.flops for outcome in self.outcomes]))

    @property
    def macro_f1(self) -> float:
        """Macro-F1 in per cent, the mean over seeds."""
        of = self.traces[0].labels, None, self.traces[0].metadata["classes"]
        return float(np.mean([METRICS["macro-f1"](outcome.answers, *of) for outcome in self.outcomes]))

    @property
    def classes_answered(self) -> int:
        """How many classes are ever answered, in the worst seed."""
        return min(len(np.unique(outcome.answers)) for outcome in self.outcomes)

    @cached_property
    def interval(self) -> Interval:
        """The 95% interval of the share that is right, over samples and seeds."""
        return accuracy_interval(self.correct)

    @property
    def at_chance(self) -> bool:
        """Whether it is, by its interval, no better than one answer for all: the test set's most frequent class."""
        trace = self.traces[0]
        return bool(self.interval.low <= trace.kind.constant(trace.labels, trace.words, trace.metadata["classes"]))

    def of_seeds(self, seeds: Sequence[int]) -> np.ndarray:
        """Who is right, bool [seeds, samples], in the runs with `seeds`."""
        return self.correct[np.isin(self.seeds, seeds)]

    def row(self, dense_flops: float) -> dict:
        """The row's columns that follow from the outcomes alone; `dense_flops` are those of our dense teacher."""
        accuracies = [outcome.accuracy for outcome in self.outcomes]
        low, high = self.interval
        return {
            "accuracy": self.accuracy,
            "mean_layers": float(np.mean([outcome.mean_layers for outcome in self.outcomes])),
            "mflops": self.flops / 1e6,
            "speedup": dense_flops / self.flops,
            "accuracy_low": 100 * low,
            "accuracy_high": 100 * high,
            "accuracy_min": min(accuracies),
            "accuracy_max": max(accuracies),
            **seeds_and_runs(self.traces),
        }


class Pair(NamedTuple):
    """Who is right of two models on the same samples, [seeds, samples] each, in the seeds that both have."""

    first: np.ndarray
    second: np.ndarray
    seeds: list[int]


def paired(first: Averaged, second: Averaged) -> Pair | None:
    """Two models side by side, None if they have no seed in common.

    Raises InputError if they are not of the same samples.
    """
    check_same_samples([first.traces[0], second.traces[0]])
    seeds = sorted(set(first.seeds) & set(second.seeds))
    return Pair(first.of_seeds(seeds), second.of_seeds(seeds), seeds) if seeds else None


def compared(first: np.ndarray, second: np.ndarray) -> dict[str, float]:
    """The columns of first − second, [seeds, samples] each: points of accuracy, their interval, the first seed's p."""
    low, high = paired_interval(first, second)
    return {
        "difference": 100 * (first.sum().item() - second.sum().item()) / first.size,
        "difference_low": 100 * low,
        "difference_high": 100 * high,
        "mcnemar_p": paired_p(first[0], second[0]),
    }


def with_holm(rows: Sequence[dict], family: list[str]) -> pd.DataFrame:
    """Rows of `compared` as a table, McNemar's p-values Holm-corrected over all rows that are alike in `family`."""
    table = pd.DataFrame(rows)
    if rows:
        table["mcnemar_p_holm"] = table.groupby(family)["mcnemar_p"].transform(holm)
    return table


def seeds_and_runs(*groups: Sequence[Trace], seeds: Sequence[int] | None = None) -> dict[str, str]:
    """The columns `seeds` and `run_id`: of all traces, or of those with these `seeds`, each once, joined by ;."""
    traces = [trace.metadata for group in groups for trace in group if seeds is None or trace.metadata["seed"] in seeds]
    found = sorted({trace["seed"] for trace in traces})
    runs = dict.fromkeys(trace["run_id"] for trace in traces)
    return {"seeds": ";".join(map(str, found)), "run_id": ";".join(runs)}


def check_same_samples(traces: Sequence[Trace]) -> None:
    """Raise InputError unless all traces have the same labels in the same order."""
    for trace in traces[1:]:
        if not np.array_equal(trace.labels, traces[0].labels):
            raise InputError(
                f"{describe(trace)}: found other samples than in the {describe(traces[0])}, expected the same"
            )
