"""What a task's slider shows: accuracy and cost from speed_accuracy.csv, and from the traces who leaves where."""

from pathlib import Path

import numpy as np
import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.exit_rules import exit_layers
from reproductions.columns import TABLES
from reproductions.repeats import counted_once
from reproductions.speeds import CHOSEN, lost_to_bert
from reproductions.store import find_runs
from reproductions.tables import table_path

COLUMNS = ("accuracy", "accuracy_low", "accuracy_high", "speedup", "mean_layers")
RULE = "fastest within"  # how table 2's note on the chosen speed begins
_SPEEDS = [number / 100 for number in range(101)]


def slider(
    results_dir: Path,
    curve: pd.DataFrame,
    models: pd.DataFrame | None,
    pairs: pd.DataFrame | None,
    own: pd.DataFrame,
) -> dict:
    """JSON-like numbers of one task and model, lists by speed 0, 0.01, … 1.

    curve: its rows of speed_accuracy.csv, whose COLUMNS are taken as they are; models, pairs: the task's rows of
        table2.csv and comparisons.csv; own: FastBERT's rows of speed_accuracy.csv, whose traces say what counts once

    exits: how many samples leave at each layer, of all seeds together; right: how many are right
    chosen, rule: the speed chosen on dev, and how; None where table 2 has none for this model
    lost: points to BERT, None without table 2; paired: by speed in hundredths the paired interval of these points
    distilbert: speedup and points lost of each

    Raises InputError if a speed or a trace is missing, or the traces are not those that the table was measured from.
    """
    task, model = curve["task"].iloc[0], curve["model"].iloc[0]
    path = table_path(results_dir, "speed_accuracy")
    if list(curve["speed"]) != _SPEEDS:
        raise InputError(f"{path}: {task}, {model}: found {len(curve)} speeds, expected 0, 0.01, … 1")
    exits, right = _exits(results_dir, *(set(";".join(rows["run_id"]).split(";")) for rows in (curve, own)))
    samples = int(exits[0].sum())
    measured = {
        "accuracy": 100 * right / samples,
        "mean_layers": exits @ np.arange(1, exits.shape[1] + 1) / samples,
    }
    for column, values in measured.items():
        rounding = 0.5 * 10.0 ** -TABLES["speed_accuracy"][column].decimals
        wrong = np.abs(values - curve[column].to_numpy()) > rounding + 1e-9
        if wrong.any():
            row = int(wrong.argmax())
            raise InputError(
                f"{path}: {task}, {model}, speed {_SPEEDS[row]}: found {column} {curve[column].iloc[row]:g}, "
                f"expected {values[row]:.4f} as the traces have it"
            )
    return {
        "model": model,
        "seeds": curve["seeds"].iloc[0].split(";"),
        "samples": samples,
        **_beside(curve, models, pairs, model),
        "exits": exits.tolist(),
        "right": right.tolist(),
        **{column: curve[column].tolist() for column in COLUMNS},
    }


def _exits(results_dir: Path, behind: set[str], own: set[str]) -> tuple[np.ndarray, np.ndarray]:
    """Sums over the traces of the runs `behind`: who leaves where, [speeds, layers], and who is right, [speeds]."""
    stored = {run.row["run_id"]: run for run in find_runs(results_dir)}
    traces = [trace for name, run in stored.items() if name in behind | own for trace in run.traces(split="test")]
    if lacking := behind - {trace.metadata["run_id"] for trace in traces}:
        found = f"{results_dir}: found no test trace of run {min(lacking)} under traces/"
        raise InputError(f"{found}, expected it, as runs.csv names the run")
    exits, right = 0, 0
    for trace in (trace for trace in counted_once(traces) if trace.metadata["run_id"] in behind):
        layers = trace.uncertainties.shape[1]
        left = np.stack([exit_layers(trace.uncertainties, speed) - 1 for speed in _SPEEDS])  # [speeds, samples]
        exits = exits + np.stack([np.bincount(layer, minlength=layers) for layer in left])
        right = right + np.stack([np.take_along_axis(trace.correct, at[:, None], 1).sum() for at in left])
    return exits, right


def _beside(curve: pd.DataFrame, models: pd.DataFrame | None, pairs: pd.DataFrame | None, model: str) -> dict:
    """What the models of table 2 and the paired intervals say of a curve."""
    found = {"chosen": None, "rule": None, "lost": None, "paired": {}, "distilbert": []}
    if models is None or models.empty:  # a task that is no task of one label a text has no row there
        return found
    bert = models.loc[models["model"] == "BERT", "accuracy"].iloc[0]
    found["lost"] = (bert - curve["accuracy"]).round(2).tolist()
    students = models[models["model"] == "DistilBERT"]
    found["distilbert"] = [[row.speedup, round(bert - row.accuracy, 2)] for row in students.itertuples()]
    for row in models[(models["model"] == model) & models["setting"].str.endswith(CHOSEN)].itertuples():
        rule = next((remark for remark in row.note.split("; ") if remark.startswith(RULE)), "")
        found |= {"chosen": _speed(row.setting), "rule": rule}
    if pairs is not None and model == "FastBERT":
        found["paired"] = {
            round(100 * _speed(row.setting)): [row.loss_low, row.loss_high] for row in lost_to_bert(pairs).itertuples()
        }
    return found


def _speed(setting: str) -> float:
    return float(setting.removeprefix("speed=").removesuffix(CHOSEN))
