"""What runs learnt from: what is averaged or compared must have learnt from the same."""

import logging
from collections.abc import Mapping, Sequence

import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.trace import Trace
from reproductions.names import SELF_DISTILLATION
from reproductions.settings import own_backbones

log = logging.getLogger(__name__)

MODEL = ["task", "backbone", "training"]
KEY = [*MODEL, "seed"]  # of a run
SOURCES = ["train_rows", "backbone_sha256", "data_sha256", "precision"]
LEARNT_FROM = [*SOURCES, "hyperparameters"]


def check_seeds(runs: pd.DataFrame, where: object) -> None:
    """Hold the seeds of each model in `runs` (columns MODEL, seed, LEARNT_FROM) against each other.

    Raises InputError, beginning with `where`, if two differ in a column of LEARNT_FROM: no average is of both.
    """
    for (task, _, training), group in runs.groupby(MODEL):
        first = group.iloc[0]
        for _, other in group.iloc[1:].iterrows():
            for column in LEARNT_FROM:
                if other[column] != first[column]:
                    raise InputError(
                        f"{where}: {task}, {training}, seed {other['seed']}: found {column} {other[column]}, "
                        f"expected {first[column]} as seed {first['seed']} has, since seeds are averaged"
                    )


def giving_way(runs: pd.DataFrame, run: dict) -> pd.Series:
    """Which rows of `runs` go when `run` is stored: of its model, its own seed and those that learnt otherwise."""

    def agree(columns: list[str]) -> pd.Series:
        return (runs[columns].astype(object) == pd.Series(run)[columns]).all(axis=1)

    return agree(MODEL) & (agree(["seed"]) | ~agree(LEARNT_FROM))


def comparable(traces: Sequence[Trace], runs: pd.DataFrame) -> list[Trace]:
    """The traces without those of models that learnt from other SOURCES than FastBERT of their task.

    So it is where a task is being trained anew with more rows, and only its first models are done, and where it has
    models on several encoders: FastBERT is then the one on the profile's own. Of each that is left out on the same
    encoder, a warning is logged; others are compared by `encoders`.
    """
    own = [row.backbone in own_backbones(row.profile, row.task) for row in runs.itertuples()]
    fastbert = runs.assign(own=own).sort_values("own", ascending=False, kind="stable")
    fastbert = fastbert[fastbert["training"] == SELF_DISTILLATION].groupby("task")[["backbone", *SOURCES]].first()
    apart = set()
    for run in runs.merge(fastbert, on="task", suffixes=("", "_fastbert")).to_dict("records"):
        differing = [column for column in SOURCES if run[column] != run[f"{column}_fastbert"]]
        if differing:
            apart.add(_key(run))
        if differing and run["backbone"] == run["backbone_fastbert"]:
            found, expected = (run[f"{differing[0]}{suffix}"] for suffix in ("", "_fastbert"))
            name = f"{run['task']}, {run['backbone']}, {run['training']}, seed {run['seed']}"
            log.warning("%s: left out: found %s %s, FastBERT has %s", name, differing[0], found, expected)
    return [trace for trace in traces if _key(trace.metadata) not in apart]


def _key(names: Mapping) -> tuple:
    return tuple(names[name] for name in KEY)
