"""Whether a run may be held against the paper's numbers, judged by its row of runs.csv and the paper's data."""

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from pathlib import PurePosixPath

import pandas as pd

from fastbert_core.trace import Trace
from reproductions import reported
from reproductions.compare import select, tasks_of
from reproductions.names import COMPARED_PROFILES

PAPER_DEPTH = 12


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
    compared = set()
    for task in tasks_of(traces):
        fastbert = select(traces, task)
        profiles = set(runs_of(fastbert, runs)["profile"])
        depths = {trace.shape.layers for trace in fastbert}
        if profiles <= set(COMPARED_PROFILES) and depths == {PAPER_DEPTH}:
            compared.add(task)
    return compared


def runs_of(traces: Sequence[Trace], runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs.csv behind `traces`."""
    return runs[runs["run_id"].isin([trace.metadata["run_id"] for trace in traces])]


def other_data(runs: pd.DataFrame, dataset: pd.Series) -> list[str]:
    """How the runs' data differ from the paper's, in words; empty if their rows are comparable with the paper's."""
    reasons = []
    train, test = runs["train_rows"].min(), runs["test_rows"].min()
    if dataset["same_test_set"] == "no":
        reasons.append(f"another test set ({dataset['note']})")
    elif test != dataset["test_rows"]:
        reasons.append(f"another test set ({test} rows, the paper's has {dataset['test_rows']})")
    # Where the paper names no dev set of its own, ours was held out of the same rows.
    held_out = runs["dev_rows"].min() if pd.isna(dataset["dev_rows"]) else 0
    left_out = runs["overlap_rows"].fillna(0).min()  # since the test set has their texts
    if train + held_out + left_out < dataset["train_rows"]:
        reasons.append(f"{train} training rows, the paper has {dataset['train_rows']}")
    return reasons


def other_encoder(runs: pd.DataFrame, dataset: pd.Series) -> list[str]:
    """The runs' encoders that are not the paper's, in words."""
    paper = PurePosixPath(dataset["backbone"]).name
    found = [name for name in dict.fromkeys(runs["backbone"]) if PurePosixPath(name).name != paper]
    return [f"encoder {name}, the paper's is {paper}" for name in found]
