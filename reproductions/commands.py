"""What the commands of `python -m reproductions` do; each imports what it needs, so that help comes at once."""

import argparse
from collections.abc import Sequence
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastbert_core.arguments import EXIT_BAD_INPUT, fail, quiet, resumable
from fastbert_core.errors import InputError
from fastbert_core.precision import resolve_device, resolve_precision
from fastbert_core.registry import look_up
from fastbert_core.tasks import PAPER_TASKS, TASKS, Task, get_task
from reproductions.checkout import committed, in_checkout, is_committed
from reproductions.names import FOREIGN, SELF_CONTAINED, SELF_DISTILLATION

if TYPE_CHECKING:
    import torch

    from reproductions.sources import Named

PACKAGED_NOTICE = """
*** PROFILE packaged: no data and weights were named (FASTBERT_DATA, FASTBERT_MODELS) and the hub cannot be reached.
*** Text and a 6-layer encoder come from the package index. What they show is real, but not of the paper's data.
"""


def list_tasks(options: argparse.Namespace) -> None:
    """The tasks and their classes."""
    for task in TASKS.values():
        kind = "pairs" if task.pair else "texts"
        print(f"{task.name:16} {task.language}  {kind}  {len(task.classes):2} classes: {', '.join(task.classes)}")


@resumable()
def run_tasks(options: argparse.Namespace) -> int:
    """Train, trace and measure tasks, or say what that would take."""
    from reproductions.settings import check_trainings

    # Before what takes long to import.
    tasks, trainings = _tasks(options.tasks), check_trainings(options.training)
    if bool(tasks) == bool(options.task_file):
        raise InputError("run: expected task names, or all, or one --task-file (names: python -m reproductions list)")
    if options.cluster:
        from fastbert_core.cluster import check_answers

        check_answers(options.cluster)
    from tqdm import tqdm

    from fastbert_core.processes import processes
    from reproductions import pages, show
    from reproductions.plan import plan
    from reproductions.run import run

    quiet()
    named = _named(options, options.task_file)
    tasks = tasks or [named.task_file.task]
    device, precision = _arithmetic(options)
    together = processes(device.type)
    if together.count > 1 and options.cluster:
        raise InputError(f"--cluster: found {together.count} processes of one training, expected one")
    profile, tasks, notice = _settled(options, named, tasks)
    given = {"trainings": trainings, "seed": options.seed, "train_rows": options.train_rows}
    planned = partial(plan, profile=profile, named=named, device=device, precision=precision, log=tqdm.write, **given)
    parts, code = _by_group(options.results_dir / profile, tasks), 0
    if options.dry_run:
        from reproductions.dry_run import dry_run

        for results_dir, mine in parts.items():
            for error in dry_run(mine, profile, named, trainings, planned, results_dir, options.replace):
                code = fail(str(error), EXIT_BAD_INPUT)
    else:
        make, cluster = None, nullcontext()
        if options.cluster:
            from fastbert_core.cluster import joined
            from reproductions.campaign import on_cluster

            make, cluster = partial(on_cluster, cpus=options.cpus), joined(options.cluster, tqdm.write)
        with cluster:
            with together.main_first():  # which may fetch data and encoder
                runs = {results_dir: planned(mine) for results_dir, mine in parts.items()}
            for results_dir, mine in runs.items():
                run(mine, results_dir, options.replace, tqdm.write, make, together, options.publish)
        if not together.main:
            return code
        if options.publish:
            pages.write()
        for results_dir, mine in parts.items():
            beside = committed("results", profile, mine[0].group) if in_checkout() else results_dir
            for task in mine:
                print(show.task_rows(results_dir, task.name, beside, task.metrics))
    print(notice, end="")
    return code


def _arithmetic(options: argparse.Namespace) -> tuple["torch.device", str]:
    """Device and precision of training. On a cluster the device is the workers', whatever this machine has."""
    import torch

    if options.cluster and options.device == "cuda" and not torch.cuda.is_available():
        if options.precision == "auto":
            raise InputError("--precision: found auto, expected bf16 or fp32 where there is no GPU to ask")
        return torch.device("cuda"), options.precision
    device = resolve_device(options.device)
    return device, resolve_precision(options.precision, device)


def _by_group(folder: Path, tasks: Sequence[Task]) -> dict[Path, list[Task]]:
    """The tasks by the folder that their results lie in: a profile's `folder`, or one within it."""
    parts: dict[Path, list[Task]] = {}
    for task in tasks:
        parts.setdefault(folder / task.group, []).append(task)
    return parts


def _place(folder: Path, name: str) -> Path:
    """Where the results of a task lie, which may be a user's own, in a profile's `folder`.

    Raises InputError, which suggests the nearest, for a task that is neither of the suite nor has runs there.
    """
    own = dict.fromkeys(sorted(path.name for path in folder.glob("traces/[!.]*")), "")
    return folder / look_up(f"task in {folder}", name, own | {task.name: task.group for task in TASKS.values()})


def _named(options: argparse.Namespace, task_file: str | None = None) -> "Named":
    """The sources that the user named. Raises InputError for an option that the profile has no use for."""
    from fastbert_core.packaged import ENCODERS
    from reproductions.sources import Named

    for option, value in (("--data-dir", options.data_dir), ("--backbone", options.backbone)):
        wheels = ENCODERS if option == "--backbone" and options.profile == "packaged" else ()
        if value is not None and options.profile in SELF_CONTAINED and value not in wheels:
            brings = f"profile {options.profile} brings its own text and encoder"
            expected = " or ".join(wheels) or "it left out"
            raise InputError(f"{option}: found {value!r}, but {brings}; expected {expected}")
    return Named.from_user(options.data_dir, options.backbone, task_file)


def _settled(options: argparse.Namespace, named: "Named", tasks: Sequence[Task]) -> tuple[str, list[Task], str]:
    """The profile that will run, and the tasks that it has text for, each once; says where these are not as asked.

    Returns also what to say of the profile again when all is done, "" where it is the one that was asked for.
    """
    from reproductions.settings import stand_in
    from reproductions.sources import settle_profile

    profile = settle_profile(options.profile, named)
    notice = PACKAGED_NOTICE if profile != options.profile else ""
    print(notice, end="")
    chosen = {}
    for task in tasks:
        other = stand_in(profile, task)
        chosen[other.name] = other
        if other is not task:
            print(f"{task.name}: {other.name} stands in for it, {len(other.classes)} classes of its own")
        elif profile == "packaged" and task.package is None and named.task_file is None:
            print(f"{task.name}: generated text, since no package has text like it")
    return profile, list(chosen.values()), notice


def _each_or_all(names: Sequence[str]) -> list[str] | None:
    """The names, each once; None for `all`. Raises InputError where that stands beside others."""
    each = list(dict.fromkeys(names))
    if "all" in each and len(each) > 1:
        others = ", ".join(name for name in each if name != "all")
        raise InputError(f"found all beside {others}, expected task names or all")
    return None if each == ["all"] else each


def _tasks(names: Sequence[str]) -> list[Task]:
    each = _each_or_all(names)
    return list(PAPER_TASKS.values()) if each is None else [get_task(name) for name in each]


@resumable()
def train_grid(options: argparse.Namespace) -> None:
    """What makes texts leave late: a training with other settings, one by one, judged by dev."""
    task = get_task(options.task)  # before what takes long to import
    from tqdm import tqdm

    from reproductions import pages
    from reproductions.blocks import markdown
    from reproductions.grid import grid
    from reproductions.grid_effects import effects
    from reproductions.plan import plan

    quiet()
    named = _named(options)
    device, precision = _arithmetic(options)
    profile, (task,), notice = _settled(options, named, [task])
    given = {"trainings": [SELF_DISTILLATION], "seed": options.seed, "train_rows": options.train_rows}
    (run,) = plan([task], profile, named, device, precision, tqdm.write, **given)
    results_dir = options.results_dir / profile / task.group
    results_dir.mkdir(parents=True, exist_ok=True)
    rows = grid(run, results_dir, tqdm.write)
    if options.publish:
        pages.write()
    print(markdown(effects(rows)))
    print(notice, end="")


def measure_stored(options: argparse.Namespace) -> None:
    """Every table and curve again, from the stored traces; or the tables of a foreign trace."""
    from reproductions import pages
    from reproductions.lock import locked
    from reproductions.measure import groups, measure

    if options.trace is not None or options.calibration is not None:
        _measure_foreign(options)
        return
    written = []
    for results_dir in groups(options.results_dir / options.profile):
        with locked(results_dir, print):
            written += measure(results_dir)
    if options.publish:
        written += pages.write()
    for path in written:
        print(path)


def _measure_foreign(options: argparse.Namespace) -> None:
    from fastbert_core.foreign import calibrating, load_foreign
    from reproductions import rules
    from reproductions.exits import exits
    from reproductions.tables import write_or_remove

    if options.trace is None or options.publish:
        raise InputError("measure: expected --trace with --calibration, and neither with --publish")
    test = load_foreign(options.trace)
    traces = [test, *([calibrating(test, options.calibration)] if options.calibration else [])]
    tables = rules.measured(traces) | {"exits": exits([test])}
    folder = options.results_dir / FOREIGN / test.metadata["task"]
    folder.mkdir(parents=True, exist_ok=True)
    written = write_or_remove(folder, tables)
    print(rules.board_text(tables["leaderboard"]) if options.calibration else "no leaderboard without --calibration")
    print(tables["exits"].drop(columns=["task", "training", "seeds", "run_id"]).round(3).to_string(index=False))
    for path in written:
        print(path)


def compare_on_traces(options: argparse.Namespace) -> None:
    """Exit rules beside each other, or thresholds and what they keep."""
    from reproductions import pages

    folder, names = options.results_dir / options.profile, _each_or_all(options.tasks)
    parts: dict[Path, list[str] | None] = {folder: None} if names is None else {}
    for name in names or ():
        parts.setdefault(_place(folder, name), []).append(name)
    written = [path for place, tasks in parts.items() for path in _compared_in(options, place, tasks)]
    written += pages.write() if options.publish else []
    for path in written:
        print(path)


def _compared_in(options: argparse.Namespace, folder: Path, tasks: list[str] | None) -> list[Path]:
    """Measure and print the tasks that have their results in `folder`, None for all; return the files written."""
    from reproductions import budget, operating_points, rules
    from reproductions.lock import locked
    from reproductions.tables import write_tables

    writes = options.publish or not is_committed(options.results_dir, "results")
    with locked(folder, print) if writes else nullcontext():
        # Corrected over all tasks there are, a table does not depend on which of them was named.
        traces = rules.traces_of(folder, tasks, alone=not writes)
        tables = (rules if options.what == "rules" else budget).measured(traces)
        written = write_tables(folder, tables) if writes else []
    shown = {name: table[table["task"].isin(tasks or table["task"])] for name, table in tables.items()}
    print(rules.board_text(shown["leaderboard"]) if options.what == "rules" else operating_points.text(shown))
    return written


def print_table(options: argparse.Namespace) -> None:
    """A task's rows of one table."""
    from reproductions import show

    print(show.table(_place(options.results_dir / options.profile, options.task), options.table, options.task))


def count_flops(options: argparse.Namespace) -> None:
    """Table 1 and the paper's misprints, or the count of one configuration."""
    from reproductions import flops

    quiet()
    asked = {name: getattr(options, name) for name in ("backbone", "tokens", "classes", "exit_layer")}
    asked = {name: value for name, value in asked.items() if value is not None}
    if asked and options.publish:
        raise InputError("flops: found --publish with a configuration to count, expected one of them")
    if asked:
        flops.print_count(**asked)
    elif options.publish:
        print(flops.write_paper(committed("results")))
    else:
        flops.print_paper()


def hold_the_gate(options: argparse.Namespace) -> int:
    """The gate; the exit code says whether it holds."""
    from reproductions.check import check

    quiet()
    return check(options, is_committed(options.results_dir, "results"))
