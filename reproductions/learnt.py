"""What runs learnt from: what is averaged or compared must have learnt from the same."""

import logging
from collections.abc import Sequence

import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.trace import Trace

log = logging.getLogger(__name__)

MODEL = ["task", "model", "variant"]
SOURCES = ["train_rows", "backbone_sha256", "data_sha256"]
LEARNT_FROM = [*SOURCES, "hyperparameters"]


def check_seeds(runs: pd.DataFrame, where: object) -> None:
    """Hold the seeds of each model in `runs` (columns MODEL, seed, LEARNT_FROM) against each other.

    Raises InputError, beginning with `where`, if two differ in a column of LEARNT_FROM: no average is of both.
    """
    for (task, model, variant), group in runs.groupby(MODEL):
        first = group.iloc[0]
        for _, other in group.iloc[1:].iterrows():
            for column in LEARNT_FROM:
                if other[column] != first[column]:
                    raise InputError(
                        f"{where}: {task}, {model}-{variant}, seed {other['seed']}: found {column} {other[column]}, "
                        f"expected {first[column]} as seed {first['seed']} has, since seeds are averaged"
                    )


def giving_way(runs: pd.DataFrame, run: dict) -> pd.Series:
    """Which rows of `runs` cannot stand beside `run`: of its model, its own seed and those no average is of with it."""

    def agree(columns: list[str]) -> pd.Series:
        return (runs[columns].astype(object) == pd.Series(run)[columns]).all(axis=1)

    return agree(MODEL) & (agree(["seed"]) | ~agree(LEARNT_FROM))


def comparable(traces: Sequence[Trace], runs: pd.DataFrame) -> list[Trace]:
    """The traces without those of models that learnt from other SOURCES than FastBERT of their task.

    So it is where a task is being trained anew with more rows, and only its first models are done. Of each that is
    left out, a warning is logged.
    """
    rows = runs.set_index("run_id")
    fastbert = runs[(runs["model"] == "fastbert") & (runs["variant"] == "default")].groupby("task").first()

    def differs(run_id: str) -> str | None:
        row = rows.loc[run_id]
        if row["task"] not in fastbert.index:
            return None
        wanted = fastbert.loc[row["task"]]
        return next((column for column in SOURCES if row[column] != wanted[column]), None)

    apart = {run: differs(run) for run in dict.fromkeys(trace.metadata["run_id"] for trace in traces)}
    for run, column in apart.items():
        if column:
            row = rows.loc[run]
            name = f"{row['task']}, {row['model']}-{row['variant']}, seed {row['seed']}"
            wanted = fastbert.loc[row["task"], column]
            log.warning("%s: left out: found %s %s, FastBERT has %s", name, column, row[column], wanted)
    return [trace for trace in traces if not apart[trace.metadata["run_id"]]]
