"""`run`: train, trace and measure what was planned, resuming what was begun and skipping what is done."""

from collections.abc import Sequence
from itertools import groupby
from pathlib import Path

from reproductions.doubts import doubts
from reproductions.execute import execute
from reproductions.lock import locked
from reproductions.measure import measure
from reproductions.plan import Log, Run, is_done
from reproductions.seeds import giving_way
from reproductions.store import find_runs, put_run, runs_table


def run(runs: Sequence[Run], results_dir: Path, replace: bool, log: Log) -> None:
    """Make the runs that `results_dir` does not hold yet, and measure again after each task's last.

    All keys are looked at before anything is trained. Raises InputError if one is held by another run, or other seeds
    of it learnt from something else, and `replace` does not say that it may go. While another process works on
    `results_dir`, waits.
    """
    results_dir.mkdir(parents=True, exist_ok=True)
    with locked(results_dir, log):
        stored = find_runs(results_dir)
        todo = [run for run in runs if not is_done(run, stored, replace)]
        for done in (run for run in runs if run not in todo):
            log(f"{done.name}: run {done.run_id} stands in {results_dir} already, skipped")
        for task, mine in groupby(todo, key=lambda run: run.settings.task):
            for run in mine:
                log(f"{run.name}: run {run.run_id}, {len(run.train)} training rows")
                row, traces = execute(run, log)
                others = find_runs(results_dir)
                going = [other for other, goes in zip(others, giving_way(runs_table(others), row), strict=True) if goes]
                put_run(results_dir, row, traces, [other.folder for other in going])
                for seed in sorted({other.row["seed"] for other in going} - {run.settings.seed}):
                    log(f"{run.name}: seed {seed} gave way, it learnt from something else")
                for doubt in doubts(traces[0], row["baseline_accuracy"]):
                    log(f"{run.name}: DOUBTFUL: {doubt}")
            log(f"{task}: measuring")
            measure(results_dir)
        if not todo:  # the last run may have been killed before it was measured
            measure(results_dir)
