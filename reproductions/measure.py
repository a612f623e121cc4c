"""Every table and figure's data again, from the stored traces of one profile."""

from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.task_types import SINGLE
from reproductions import reported
from reproductions.calibration import calibration
from reproductions.encoders import encoders
from reproductions.equal_flops import equal_flops
from reproductions.exits import exits
from reproductions.figure3_speed_accuracy import speed_accuracy
from reproductions.figure4_luha import luha
from reproductions.figure5_exit_layers import exit_layers
from reproductions.figure6_uncertainty import uncertainty_distribution
from reproductions.figure7_convergence import convergence
from reproductions.out_of_scope import out_of_scope
from reproductions.paper_rows import Paper, compared_tasks
from reproductions.repeats import counted_once
from reproductions.seeds import check_seeds, comparable
from reproductions.store import find_runs, runs_table
from reproductions.table2 import comparisons, table2
from reproductions.table3 import table3
from reproductions.tables import write_or_remove
from reproductions.task_metrics import task_metrics
from reproductions.trainings import trainings
from reproductions.true_macs import hidden_cost


def groups(results_dir: Path) -> list[Path]:
    """The folders that have runs: a profile's own, and those of other tasks within it; its own where none has.

    So the paper's tables, and what is corrected over all of its tasks, stay what they are whatever else is run.
    """
    inner = [path.parent for path in sorted(results_dir.glob("[!.]*/traces")) if path.is_dir()]
    return [results_dir, *inner] if (results_dir / "traces").is_dir() or not inner else inner


def measure(results_dir: Path) -> list[Path]:
    """Write every CSV that the runs of `results_dir` allow, after all are computed, and return where they lie.

    Measuring again gives the same bytes. A CSV that the traces no longer allow is removed. Raises InputError as
    `measured` does.
    """
    return write_or_remove(results_dir, measured(results_dir))


def measured(results_dir: Path) -> dict[str, pd.DataFrame]:
    """Every table that the runs of `results_dir` allow, by name; without rows where they do not.

    The paper's tables are of tasks with one label a text; curves, exit layers and costs are of every task type.
    Raises InputError if there are no traces, a run is not in order, or seeds of one model learnt from different things.
    Models that learnt from other things than their task's FastBERT are left out, with a warning.
    """
    stored = find_runs(results_dir)
    runs = runs_table(stored)
    check_seeds(runs, results_dir)
    stored = [trace for run in stored for trace in run.traces()]
    traces = counted_once(comparable(stored, runs))
    if not traces:
        raise InputError(f"{results_dir}: found no traces, expected some under traces/")
    every, traces = traces, [trace for trace in traces if trace.kind is SINGLE]
    compared = compared_tasks(traces, runs)
    paper = Paper.load(compared)

    def figure(name: str) -> pd.DataFrame:
        table = reported.load(name)
        return table[table["task"].isin(compared)]

    return {
        "runs": runs,
        "table2": table2(traces, runs, paper),
        "comparisons": comparisons(traces),
        "table3": table3(traces, runs, paper),
        "speed_accuracy": speed_accuracy(every, figure("figure3_speed_accuracy")),
        "luha": luha(traces, figure("figure4_luha")),
        "exit_layers": exit_layers(every, figure("figure5_exit_layers")),
        "uncertainty": uncertainty_distribution(every),
        "convergence": convergence(every, figure("figure7_convergence")),
        "true_macs": hidden_cost(every),
        "equal_flops": equal_flops(traces),
        "calibration": calibration(traces),
        "exits": exits(traces),
        "trainings": trainings([trace for trace in traces if trace.metadata["split"] == "test"]),
        "encoders": encoders(stored, runs),
        "task_metrics": task_metrics(every),
        "out_of_scope": out_of_scope(traces),
    }
