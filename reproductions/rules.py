"""Exit rules beside each other, on the same frozen models: their whole curves, and the leaderboard.

Rules are fitted, and thresholds of a speedup solved, on the dev trace, whose rows chose nothing else. Curves, and what
is read off them (area, ELUE's score, gaps to oracles, differences at equal layers), have every threshold on test.
"""

import logging
from collections.abc import Sequence
from functools import cached_property, partial
from itertools import chain
from pathlib import Path

import numpy as np
import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.exit_metrics import Curve, curve, elue, oracle_gap
from fastbert_core.exit_rules import BOUNDS, RULES, ExitRule, exit_layers
from fastbert_core.metrics import Outcome, dense, exit_costs, judged, leaving
from fastbert_core.sweep import Sweep, lowest, mean_costs
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.trace import Trace
from reproductions.columns import TABLES
from reproductions.compare import compared, seeds_and_runs, tasks_of, trained, with_holm
from reproductions.parallel import each
from reproductions.repeats import counted_once
from reproductions.seeds import comparable
from reproductions.significance import significant
from reproductions.store import find_runs, runs_table

log = logging.getLogger(__name__)

BASES = {kind.base for kind in TASK_TYPES.values()}  # of each task type the rule that all others are compared with
TARGETS = (2, 3, 4, 6)  # speedups of the leaderboard
SHARE = 1 / 3  # of the layers, which a sample executes on average where rules are compared
ROUND, SPREAD = np.arange(11) / 10, 20  # thresholds that every curve has, and how many more spread its cost evenly
DECIMALS = 8  # of a threshold

BOARD = {f"accuracy_{target}x": f"{target}x" for target in TARGETS} | {  # what is shown of the leaderboard, and as what
    "area": "area",
    "elue": "ELUE",
    "gap_label": "to label oracle",
    "gap_teacher": "to teacher oracle",
    "layers": "at layers",
    "difference": "over {}",  # the task type's own rule
}


class Side:
    """A rule on the test trace of one seed; `dev` is that seed's, None where the training keeps none."""

    def __init__(self, name: str, trace: Trace, dev: Trace | None) -> None:
        fitted = name if dev is None or name in BOUNDS else fitted_on(dev, RULES[name])
        self.trace, self.cost = trace, exit_costs(trace)[0]
        self.scores, self.answers = judged(trace, fitted)
        self.correct = trace.quality(self.answers)
        self.on_dev = None if dev is None else judged(dev, fitted)[0]

    @cached_property
    def curve(self) -> Curve:
        """Accuracy over FLOPs, in the paper's unit."""
        return curve(self.scores, self.correct, self.cost)

    @cached_property
    def on_dev_costs(self) -> tuple[np.ndarray, np.ndarray]:
        """Every threshold on dev, and a sample's mean cost there."""
        return mean_costs(self.on_dev, self.cost)

    def at(self, threshold: float) -> Outcome:
        """What a threshold comes to."""
        return leaving(self.trace, exit_layers(self.scores, threshold), self.answers)

    def as_fast(self, speedup: float) -> Outcome | None:
        """What the slowest threshold comes to that is as fast on dev; None where no threshold is."""
        threshold = lowest(*self.on_dev_costs, dense(self.trace).flops / speedup)
        return None if threshold is None else self.at(threshold)

    def within(self, flops: float) -> Outcome | None:
        """What the slowest threshold comes to that costs at most so much on test; None where none does."""
        at = self.curve.within(flops)
        threshold = self.curve.thresholds[at]
        return None if at < 0 or np.isinf(threshold) else self.at(threshold)


def fitted_on(dev: Trace, rule: ExitRule) -> ExitRule:
    """A rule, fitted on a dev trace."""
    return dev.kind.fit(rule, dev.probabilities, dev.labels)


def written(threshold: float | np.ndarray) -> float | np.ndarray:
    """Thresholds as tables have them: rounded up, since each lies just above a score."""
    return np.ceil(threshold * 10**DECIMALS) / 10**DECIMALS


def measured(traces: Sequence[Trace]) -> dict[str, pd.DataFrame]:
    """The tables `exit_rules` and `leaderboard` of every task and training; of several seeds the mean.

    The leaderboard has only trainings with a dev trace. Its McNemar's p-values are Holm-corrected over the tasks, for
    each rule.
    """
    for line in left_out(traces):
        log.warning(line)
    found = each(_of_training, list(trained([trace for trace in traces if trace.has_exits])))
    points, rows = (list(chain.from_iterable(part)) for part in zip(*found, strict=True)) if found else ([], [])
    leaderboard = with_holm(rows, ["training", "rule"]) if rows else pd.DataFrame(columns=list(TABLES["leaderboard"]))
    return {"exit_rules": pd.concat(points) if points else pd.DataFrame(), "leaderboard": leaderboard}


def _of_training(
    task: str, training: str, tests: Sequence[Trace], devs: Sequence[Trace | None]
) -> tuple[list[pd.DataFrame], list[dict]]:
    """Rows of exit_rules.csv, a frame a rule, and of leaderboard.csv."""
    key = {"task": task, "training": training}
    every = {name: list(map(partial(Side, name), tests, devs)) for name in able(tests, devs)}
    points = [_points(sides).assign(**key, rule=name) for name, sides in every.items()]
    rows = [] if None in devs else [key | {"rule": name} | _row(sides, every) for name, sides in every.items()]
    return points, rows


def able(tests: Sequence[Trace], devs: Sequence[Trace | None]) -> list[str]:
    """The rules and bounds that these traces allow: to be fitted takes dev, to know energy the scale of the logits.

    And rules must have a meaning for the type of the task.
    """
    scaled = all(trace.logsumexp is not None for trace in (*tests, *devs) if trace is not None)
    rules = {name: rule for name, rule in tests[0].kind.rules().items() if scaled or not rule.unnormalised}
    return [*(name for name, rule in rules.items() if None not in devs or not rule.needs_fit), *BOUNDS]


def left_out(traces: Sequence[Trace]) -> list[str]:
    """A line for each rule that reads the scale of the logits, where traces do not keep it."""
    lines = []
    for name, rule in RULES.items():
        trainings: dict[str, set[str]] = {}
        for trace in traces:
            if rule.unnormalised and trace.kind.name in rule.types and trace.has_exits and trace.logsumexp is None:
                trainings.setdefault(trace.metadata["task"], set()).add(trace.metadata["training"])
        if trainings:
            of = "; ".join(f"{task} ({', '.join(sorted(those))})" for task, those in sorted(trainings.items()))
            lines.append(f"rule {name}: no row for {of}, whose traces keep no logsumexp")
    return lines


def _points(sides: Sequence[Side]) -> pd.DataFrame:
    """Columns of exit_rules.csv: a rule's curve at round thresholds and at those that spread its cost, none twice."""
    first = sides[0].curve
    spread = first.thresholds[[first.within(cost) for cost in np.linspace(*first.cost[[0, -1]], SPREAD)]]
    thresholds = np.unique(np.concatenate([ROUND, written(spread[spread <= 1])]))
    depth, cost = np.arange(1, len(sides[0].cost) + 1), sides[0].cost
    sweeps, samples = [Sweep(side.scores, thresholds) for side in sides], len(sides[0].trace)
    right = sum(sweep.totals(side.correct) for sweep, side in zip(sweeps, sides, strict=True))
    executed, spent = (np.stack([sweep.totals(of) for sweep in sweeps]) for of in (depth, cost))  # [seeds, thresholds]
    flops = (spent / samples).mean(axis=0)
    columns = {
        "threshold": thresholds,
        "accuracy": np.clip(100 * right / (len(sides) * samples), 0, 100),  # sums of grades are rounded
        "mean_layers": (executed / samples).mean(axis=0),
        "speedup": dense(sides[0].trace).flops / flops,
    }
    table = pd.DataFrame(columns).assign(**seeds_and_runs([side.trace for side in sides]))
    first_round = table.iloc[np.argsort(~np.isin(thresholds, ROUND), kind="stable")]
    return first_round.drop_duplicates(["accuracy", "mean_layers"]).sort_values("threshold")


def _row(sides: Sequence[Side], every: dict[str, list[Side]]) -> dict:
    """Columns of leaderboard.csv for one rule; `every` rule's sides, by name, are what it is held against."""
    row = {}
    for target in TARGETS:
        found = [side.as_fast(target) for side in sides]
        known = None not in found
        row[f"accuracy_{target}x"] = float(np.mean([one.accuracy for one in found])) if known else np.nan
        full = dense(sides[0].trace).flops
        row[f"speedup_{target}x"] = full / float(np.mean([one.flops for one in found])) if known else np.nan
    row["area"] = float(np.mean([side.curve.area for side in sides]))
    row["elue"] = float(np.mean([_elue(side) for side in sides]))
    for name in ("label", "teacher"):
        oracles = every[f"oracle-{name}"]
        gaps = [oracle_gap(s.curve, o.scores, o.correct, o.cost) for s, o in zip(sides, oracles, strict=True)]
        row[f"gap_{name}"] = float(np.mean(gaps))
    return row | _against(sides, every[sides[0].trace.kind.base]) | seeds_and_runs([side.trace for side in sides])


def _elue(side: Side) -> float:
    """Against the dense slices of the same model: the classifier of one layer alone, without exits before it."""
    slices = [dense(side.trace, layer) for layer in side.trace.metadata["layers"]]
    baseline = np.array([one.flops for one in slices]), np.array([one.accuracy for one in slices])
    return elue(side.curve, baseline, baseline[0][-1] / np.array(TARGETS))


def _against(sides: Sequence[Side], base: Sequence[Side]) -> dict:
    """The paired difference to `base`, the task type's rule, at the rule's own mean layers, at most SHARE of all."""
    found = [side.within(side.cost[-1] * SHARE) for side in sides]
    if None in found:
        return dict.fromkeys(("layers", "difference", "difference_low", "difference_high", "mcnemar_p"), np.nan)
    pairs = zip(found, base, strict=True)
    others = [other.at(other.curve.thresholds[other.curve.within(one.flops)]) for one, other in pairs]
    mine, theirs = (np.stack([outcome.correct for outcome in side]) for side in (found, others))  # [seeds, samples]
    return {"layers": float(np.mean([one.mean_layers for one in found]))} | compared(mine, theirs)


def traces_of(results_dir: Path, tasks: Sequence[str] | None = None, alone: bool = True) -> list[Trace]:
    """The trained models' test and dev traces, as far as they may stand beside each other: of `tasks`, None for all.

    alone: whether to leave out the tasks that are not named
    Raises InputError where one that is named has none, or no task has any.
    """
    runs = find_runs(results_dir)
    named = [run for run in runs if run.row["task"] in tasks] if tasks and alone else runs
    traces = [trace for run in named for trace in run.traces(epoch=None)]
    traces = counted_once(comparable(traces, runs_table(runs)))
    found = tasks_of(traces)
    for task in tasks or ([] if found else ["any task"]):
        if task not in found:
            raise InputError(f"{results_dir}: found no trace of {task}, expected some under traces/")
    return traces


def board_text(rows: pd.DataFrame) -> str:
    """Rows of leaderboard.csv: a table for each training, of the means over its tasks."""
    parts = []
    for training, mine in rows.groupby("training"):
        tasks = mine["task"].unique()
        of = tasks[0] if len(tasks) == 1 else f"means of {len(tasks)} tasks"
        parts += [f"{training}, {of}:", board(mine).to_string(index=False), ""]
    return "\n".join(parts or ["no training keeps a dev trace, which the leaderboard needs"])


def board(rows: pd.DataFrame) -> pd.DataFrame:
    """Rows of leaderboard.csv as texts, a row for each rule, the largest area first; "" where a task has no value.

    A rule that some task's traces cannot have stands last, with the number of its tasks: its means are of others.
    better, worse: in how many tasks the rule differs significantly from the type's own, at its mean layers
    """
    tasks = rows.groupby("rule")["task"].nunique()
    fewer = tasks < tasks.max()
    counts = {"better": significant(rows) > 0, "worse": significant(rows) < 0}
    means = rows[["rule", *BOARD]].groupby("rule").agg(lambda column: column.mean(skipna=False))
    own = " or ".join(sorted(BASES & set(rows["rule"])))
    headings = {column: heading.format(own) for column, heading in BOARD.items()}
    texts = means.map(lambda value: "" if pd.isna(value) else f"{value:.2f}").rename(columns=headings)
    for name, of in counts.items():
        texts[name] = of.groupby(rows["rule"]).sum().map(str)
    order = means.assign(fewer=fewer).sort_values(["fewer", "area"], ascending=[True, False]).index
    names = {rule: f"{rule}, of {tasks[rule]}" for rule in tasks.index[fewer]}
    return texts.loc[order].rename(index=names).reset_index()
