"""What the command line prints of the tables."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from reproductions.names import SELF_DISTILLATION
from reproductions.tables import read_or_empty, read_table, table_path

COLUMNS = {  # of table 2: under which heading, and how they are shown
    "model": ("model", "{}"),
    "setting": ("setting", "{}"),
    "accuracy": ("accuracy", "{:.2f}"),
    "mean_layers": ("layers", "{:.2f}"),
    "speedup": ("speedup", "{:.2f}x"),
    "reported_accuracy": ("paper", "{:.2f}"),
    "reported_speedup": ("paper's", "{:.2f}x"),
    "macro_f1": ("macro-F1", "{:.2f}"),
    "verdict": ("verdict", "{}"),
    "verdict_relative": ("relative", "{}"),
    "trained": ("trained in", "{}"),
}

BELOW_ONE = (
    "A speedup below 1x: each executed layer also runs its student, of which BERT has none; where few samples leave "
    "early, or the encoder is small, that costs more than leaving saves."
)


def task_rows(results_dir: Path, task: str, committed: Path, metrics: Sequence[str] = ()) -> str:
    """Table 2's rows of a task, and below them the ones of `committed`, where that is another folder and has any.

    Of a task that has rows in task_metrics.csv `metrics_text`.
    A row that was trained in another precision than the committed one says so; the last line is `verdict`'s.
    """
    of_metrics = read_or_empty(results_dir, "task_metrics").query("task == @task")
    if len(of_metrics):
        return f"{task}, this run ({results_dir}):\n{metrics_text(of_metrics, metrics)}\n"
    mine, stored = _rows(results_dir, task), _rows(committed, task)
    if mine.empty:
        remedy = f"table 2 holds models beside FastBERT's own, so run it with --training {SELF_DISTILLATION} too"
        return f"{task}, this run ({results_dir}): stored; {remedy}\n"
    beside = committed.resolve() != results_dir.resolve() and not stored.empty
    if beside:
        theirs = mine.merge(stored, how="left", on=["model", "setting"], suffixes=("", "_stored"))["precision_stored"]
        told = mine["precision"] + ", committed: " + theirs
        mine["trained"] = told.where(mine["precision"] != theirs)
    parts = [f"{task}, this run ({results_dir}):", _table(mine)]
    if beside:
        parts += [f"{task}, as committed ({committed}):", _table(stored), verdict(task, mine, stored)]
    return "\n".join(parts)


def verdict(task: str, mine: pd.DataFrame, committed: pd.DataFrame) -> str:
    """Whether rows of table 2 reproduce the committed ones: of the same model, encoder, setting and training rows.

    They do if each accuracy lies in the 95% interval of the committed one.
    """
    same = ["model", "backbone", "setting", "data_sha256", "train_rows"]
    both = mine.merge(committed, on=same, suffixes=("", "_stored"))
    if both.empty:
        return f"{task}: NOT COMPARED: no row is of the same encoder and training rows as a committed one\n"
    inside = both["accuracy"].between(both["accuracy_low_stored"], both["accuracy_high_stored"])
    points = (both["accuracy"] - both["accuracy_stored"]).abs().max()
    percent = 100 * (both["speedup"] / both["speedup_stored"] - 1).abs().max()
    word = "REPRODUCED" if inside.all() else "NOT REPRODUCED"
    told = f"{inside.sum()} of {len(both)} accuracies lie in the intervals of the committed ones"
    return f"{task}: {word}: {told}, at most {points:.2f} points away; speedups differ by at most {percent:.1f}%\n"


def metrics_text(rows: pd.DataFrame, metrics: Sequence[str]) -> str:
    """Rows of task_metrics.csv of a task: the full model, and what each rule keeps of the first of its `metrics`.

    Thresholds were chosen by that one. Where the task names none, the rows are of a single metric.
    """
    parts = []
    for (training, seeds), mine in rows.groupby(["training", "seeds"]):
        full = [f"{row.metric} {_cell(row.value)}" for row in mine[mine["rule"] == "none"].itertuples()]
        first = metrics[0] if metrics else mine["metric"].iloc[0]
        of_rules = mine[(mine["rule"] != "none") & (mine["metric"] == first)]
        cells = [
            f"{_cell(row.value)}, lost {_cell(row.lost)} [{_cell(row.lost_low)}, {_cell(row.lost_high)}]"
            f" at {row.mean_layers:.1f} layers, {row.speedup:.2f}x"
            for row in of_rules.itertuples()
        ]
        parts.append(f"{training}, seeds {seeds}: {', '.join(full)} at all layers")
        if len(of_rules):
            wide = of_rules.assign(cell=cells).pivot(index="rule", columns="point", values="cell")
            wide.columns = [f"{first}, {point}" for point in wide.columns]
            parts.append(wide.fillna("").reset_index().to_string(index=False))
    return "\n".join(parts)


def _cell(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.2f}"


def table(results_dir: Path, name: str, task: str) -> str:
    """The rows of table `name` that are of `task`. Raises InputError if there are none."""
    rows = read_table(results_dir, name)
    unread = [column for column in rows if column.endswith(("sha256", "run_id"))]
    rows = _filled(rows[rows["task"] == task].drop(columns=["task", *unread]))
    if rows.empty:
        raise InputError(f"{table_path(results_dir, name)}: found no row of task {task}, expected a trace of it")
    with pd.option_context("display.width", 200, "display.max_columns", None):
        return "\n".join([rows.to_string(index=False, na_rep=""), *below_one(rows)])


def below_one(rows: pd.DataFrame) -> list[str]:
    """The line that explains a speedup below 1, if `rows` have one."""
    return [BELOW_ONE] if "speedup" in rows and (rows["speedup"] < 1).any() else []


def _rows(results_dir: Path, task: str) -> pd.DataFrame:
    """Table 2's rows of a task, with the precision in which their runs were trained."""
    table, runs = (read_or_empty(results_dir, name) for name in ("table2", "runs"))
    of_run = dict(zip(runs["run_id"], runs["precision"], strict=True))
    rows = table[table["task"] == task].reset_index(drop=True)
    found = [dict.fromkeys(of_run[run] for run in ids.split(";") if run in of_run) for ids in rows["run_id"]]
    return rows.assign(precision=[";".join(precisions) for precisions in found])


def _table(rows: pd.DataFrame) -> str:
    told = {column: form for column, form in COLUMNS.items() if column in rows}
    texts = {heading: rows[column].map(form.format, na_action="ignore") for column, (heading, form) in told.items()}
    return "\n".join([_filled(pd.DataFrame(texts)).fillna("").to_string(index=False), *below_one(rows), ""])


def _filled(rows: pd.DataFrame) -> pd.DataFrame:
    """`rows` without the columns that are empty in all of them."""
    return rows.loc[:, (rows.notna() & (rows != "")).any()]
