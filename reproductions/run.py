"""`run`: train, trace and measure what was planned, resuming what was begun and skipping what is done."""

from collections import Counter
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from fastbert_core.processes import ALONE, Alone
from fastbert_core.trace import Trace
from reproductions.doubts import doubts
from reproductions.execute import execute
from reproductions.lock import locked
from reproductions.measure import measure
from reproductions.plan import Log, Run, is_done
from reproductions.seeds import giving_way
from reproductions.store import StoredRun, find_runs, published, put_run, runs_table

# From runs to each of them, as it is done, with its row of runs.csv and its traces.
Made = Iterator[tuple[Run, dict, list[Trace]]]


def run(
    runs: Sequence[Run],
    results_dir: Path,
    replace: bool,
    log: Log,
    make: Callable[[Sequence[Run], Log], Made] | None = None,
    processes: Alone = ALONE,
    publish: bool = False,
) -> None:
    """Make the runs that `results_dir` does not hold yet, and measure again after each task's last.

    make: makes them, here and one by one if None; processes: that train each run together, the main one of which alone
    looks at `results_dir` and writes there; publish: store of a run's traces what is `published` alone

    All keys are looked at before anything is trained. Raises InputError if one is held by another run, or other seeds
    of it learnt from something else, and `replace` does not say that it may go; so too if that came to be meanwhile,
    since other processes may write to `results_dir` while a run is made.
    """
    if not processes.main:
        for at in processes.told():
            execute(runs[at], log, processes)
        return
    results_dir.mkdir(parents=True, exist_ok=True)
    with locked(results_dir, log):
        stored = find_runs(results_dir)
    todo = [run for run in runs if not is_done(run, stored, replace)]
    processes.told([runs.index(run) for run in todo])
    for done in (run for run in runs if run not in todo):
        log(f"{done.name}: run {done.run_id} stands in {results_dir} already, skipped")
    left = Counter(run.settings.task for run in todo)
    for run, row, traces in make(todo, log) if make else _one_by_one(todo, log, processes):
        left[task := run.settings.task] -= 1
        with locked(results_dir, log):
            others = find_runs(results_dir)
            if not is_done(run, others, replace):  # by another process, meanwhile
                _store(run, row, published(traces, row) if publish else traces, others, results_dir, log)
            if not left[task]:
                log(f"{task}: measuring")
                measure(results_dir)
    if not todo:  # the last run may have been killed before it was measured
        with locked(results_dir, log):
            measure(results_dir)


def _one_by_one(runs: Sequence[Run], log: Log, processes: Alone) -> Made:
    for run in runs:
        log(f"{run.name}: run {run.run_id}, {len(run.train)} training rows")
        yield run, *execute(run, log, processes)


def _store(run: Run, row: dict, traces: list[Trace], others: Sequence[StoredRun], results_dir: Path, log: Log) -> None:
    """Put a run beside the `others` of `results_dir`, in the place of those that give way to it."""
    going = [other for other, goes in zip(others, giving_way(runs_table(others), row), strict=True) if goes]
    put_run(results_dir, row, traces, [other.folder for other in going])
    for seed in sorted({other.row["seed"] for other in going} - {run.settings.seed}):
        log(f"{run.name}: seed {seed} gave way, it learnt from something else")
    dev = next((t for t in traces if t.metadata["split"] == "dev" and t.metadata.get("epoch") is None), None)
    for doubt in doubts(traces[0], row["baseline_accuracy"], dev):
        log(f"{run.name}: DOUBTFUL: {doubt}")
