"""A measured row of table 2 or 3 beside the paper's: whether both may be compared, and the two verdicts on it."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from fastbert_core.flops import BERT_BASE, paper_flops
from fastbert_core.metrics import at_flops
from fastbert_core.trace import Trace
from reproductions import reported
from reproductions.columns import TABLES
from reproductions.compare import Averaged, compared, paired, select, tasks_of
from reproductions.names import COMPARED_PROFILES
from reproductions.repeats import SAME
from reproductions.statistics import Interval, accuracy_interval, mover, paired_interval, wilson
from reproductions.verdicts import ACCURACY_MARGIN, LOSS_MARGIN, ONE_SIDED, Excess, excess_error, excess_loss, judge

BERT = ("BERT", f"{BERT_BASE.layers} layers")  # the row of table 2 that every task of the paper has
EXECUTED = paper_flops(BERT_BASE, 1) / 1e6  # millions of FLOPs of an executed layer
AT_CHANCE = "not better than always the most frequent class"
HELD_OUT = 1 / 60  # of the training rows at most: 2,000 of ag-news' 120,000, fewer of others
SAME_TEST_SET = 0.7  # how far two models' answers may be correlated that are tested on the same texts


@dataclass(frozen=True)
class Paper:
    """What the paper says of the tasks that may be held against it.

    printed: tables 2 and 3, misprints named (reproductions.reported.corrected), by (task, model, setting)
    datasets: the paper's data (paper/datasets.csv), by task, for all of its tasks
    """

    printed: dict[tuple[str, str, str], pd.Series]
    datasets: dict[str, pd.Series]

    @classmethod
    def load(cls, tasks: Collection[str]) -> "Paper":
        """The paper's numbers for `tasks`."""
        rows, datasets = reported.corrected(), reported.load("datasets")
        return cls(
            {(row.task, row.model, row.setting): row for _, row in rows[rows["task"].isin(tasks)].iterrows()},
            {row.task: row for _, row in datasets.iterrows()},
        )


def compared_tasks(traces: Sequence[Trace], runs: pd.DataFrame) -> set[str]:
    """Tasks that the paper's numbers may stand beside: real text and an encoder of as many layers as the paper's."""
    found = set()
    for task in tasks_of(traces):
        fastbert = select(traces, task)
        profiles = set(_runs_of(fastbert, runs)["profile"])
        depths = {trace.shape.layers for trace in fastbert}
        if profiles <= set(COMPARED_PROFILES) and depths == {BERT_BASE.layers}:
            found.add(task)
    return found


def paper_row(
    model: str, setting: str, used: Averaged, teacher: Averaged, runs: pd.DataFrame, paper: Paper, note: str = ""
) -> dict:
    """The row of `used`, called `model` at `setting`, in the columns of table 2.

    teacher: our own dense BERT of the same task. note: what is to be said beside data, encoder and misprints.
    """
    task = used.traces[0].metadata["task"]
    behind = _runs_of(used.traces, runs)
    dataset, printed = paper.datasets.get(task), paper.printed.get((task, model, setting))
    data, encoder = [], []
    if dataset is not None:
        data, encoder = _other_data(behind, dataset), _other_encoder(behind, dataset)
    row = dict.fromkeys(TABLES["table2"]) | {
        "task": task,
        "model": model,
        "setting": setting,
        **used.row(teacher.flops),
        "macro_f1": used.macro_f1,
        "classes_answered": used.classes_answered,
        "train_rows": behind["train_rows"].min(),
        "test_rows": len(used.traces[0].labels),
        "backbone": ";".join(dict.fromkeys(behind["backbone"])),
        "data_sha256": ";".join(dict.fromkeys(behind["data_sha256"])),
    }
    notes = [*data, *encoder, note]
    if not set(behind["profile"]) <= set(COMPARED_PROFILES):
        notes = [*dict.fromkeys(behind["data_source"]), note]
    if (overlap := behind["overlap_rows"].max()) > 0:
        notes.append(f"{overlap:.0f} training rows left out, their texts stand in the test set")
    if same := used.traces[0].metadata.get(SAME):
        notes.append(f"{same} test rows are one text to the encoder and count once")
    if used.at_chance:
        notes.append(AT_CHANCE)
    if dataset is not None and (task, *BERT) not in paper.printed:
        row["verdict"] = "not comparable"
    if printed is not None:
        row |= _absolute(used, printed, dataset, comparable=not data)
        notes.append(printed["misprint"])
        if model.startswith("FastBERT") and not printed["doubtful"]:
            row |= _relative(setting, used, teacher, printed, dataset, paper)
    return row | {"note": "; ".join(filter(None, notes)) or None}


def judged(rows: list[dict]) -> pd.DataFrame:
    """The rows of `paper_row` as a table, in which verdicts are corrected over all of them."""
    for column, margin in (("verdict", ACCURACY_MARGIN), ("verdict_relative", LOSS_MARGIN)):
        compared = [row for row in rows if isinstance(row[column], Excess)]
        family = [row[column] for row in compared]
        for row, excess, verdict, p in zip(compared, family, *judge(family, margin), strict=True):
            row[column] = verdict
            if column == "verdict_relative":
                half_width = excess.high - excess.value
                row |= {"excess_loss": excess.value, "excess_half_width": half_width, "worse_p_holm": p}
    return pd.DataFrame(rows)


def _absolute(used: Averaged, printed: pd.Series, dataset: pd.Series, comparable: bool) -> dict:
    """The reported columns, the interval of measured − reported, and what `judged` makes `verdict` of."""
    row = {f"reported_{name}": printed[name] for name in ("accuracy", "mflops", "speedup")}
    if printed["doubtful"] or not comparable:
        return row | {"verdict": "misprint" if printed["doubtful"] else "not comparable"}
    share, tested = printed["accuracy"] / 100, int(dataset["test_rows"])
    ours, theirs = used.interval, Interval(*map(float, wilson(share * tested, tested)))
    for name, correlation in (("difference", 0.0), ("correlated", SAME_TEST_SET)):
        low, high = mover(used.accuracy / 100, ours, share, theirs, correlation)
        row |= {f"{name}_low": 100 * low, f"{name}_high": 100 * high}
    low, high = accuracy_interval(used.correct, ONE_SIDED)
    bounds = Interval(100 * low, 100 * high)
    return row | {"verdict": excess_error(used.accuracy, bounds, printed["accuracy"], tested)}


def _relative(
    setting: str, used: Averaged, teacher: Averaged, printed: pd.Series, dataset: pd.Series, paper: Paper
) -> dict:
    """Our loss at the paper's mean executed layers, the paper's, and what `judged` makes `verdict_relative` of."""
    layers = min(max(printed["corrected_mflops"] / EXECUTED, 1.0), BERT_BASE.layers)
    if setting.startswith("speed="):
        # An operating point of our own curve; a fixed depth is the same for both.
        used = Averaged(used.traces, lambda trace: at_flops(trace, layers * paper_flops(trace.shape, 1)))
    if (pair := paired(teacher, used)) is None:
        return {}
    loss, bounds = compared(pair.first, pair.second), paired_interval(pair.first, pair.second, ONE_SIDED)
    reported = round(paper.printed[printed["task"], *BERT]["accuracy"] - printed["accuracy"], 2)
    discordant = float((pair.first != pair.second).mean())
    ours = loss["difference"], Interval(100 * bounds.low, 100 * bounds.high), discordant
    return {
        "verdict_relative": excess_loss(*ours, reported, int(dataset["test_rows"])),
        "paper_layers": layers,
        "relative_loss": loss["difference"],
        "relative_loss_low": loss["difference_low"],
        "relative_loss_high": loss["difference_high"],
        "reported_loss": reported,
    }


def _runs_of(traces: Sequence[Trace], runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs.csv behind `traces`."""
    return runs[runs["run_id"].isin([trace.metadata["run_id"] for trace in traces])]


def _other_data(runs: pd.DataFrame, dataset: pd.Series) -> list[str]:
    """How the runs' data differ from the paper's, in words; empty if their rows are comparable with the paper's."""
    reasons = []
    train, test = runs["train_rows"].min(), runs["test_rows"].min()
    if dataset["same_test_set"] == "no":
        reasons.append(f"another test set ({dataset['note']})")
    elif test != dataset["test_rows"]:
        reasons.append(f"another test set ({test} rows, the paper's has {dataset['test_rows']})")
    # Where the paper names no dev set of its own, ours was held out of the same rows.
    least = dataset["train_rows"] * (1 - HELD_OUT if pd.isna(dataset["dev_rows"]) else 1)
    left_out = runs["overlap_rows"].fillna(0).min()  # since the test set has their texts
    if train + left_out < least:
        reasons.append(f"{train} training rows, the paper has {dataset['train_rows']}")
    return reasons


def _other_encoder(runs: pd.DataFrame, dataset: pd.Series) -> list[str]:
    """The runs' encoders that are not the paper's, in words."""
    paper = PurePosixPath(dataset["backbone"]).name
    found = [name for name in dict.fromkeys(runs["backbone"]) if PurePosixPath(name).name != paper]
    return [f"encoder {name}, the paper's is {paper}" for name in found]
