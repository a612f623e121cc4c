"""Seeds of one model that are averaged: they must have learnt from the same rows, in the same way."""

import pandas as pd

from fastbert_core.errors import InputError

MODEL = ["task", "model", "variant"]
LEARNT_FROM = ["train_rows", "backbone_sha256", "data_sha256", "hyperparameters"]


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
