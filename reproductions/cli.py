"""The command line: `python -m reproductions list | run | measure | rules | budget | …`, each with --help.

Each command imports what it needs, so that help and the list of tasks come at once.
"""

import argparse
import logging
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, nullcontext
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from fastbert_core.arguments import EXIT_BAD_INPUT, ArgumentParser, exit_code, fail
from fastbert_core.errors import InputError, RunError
from fastbert_core.precision import DEVICES, PRECISIONS, resolve_device, resolve_precision
from fastbert_core.tasks import PAPER_TASKS, TASKS, Task, get_task
from reproductions.checkout import committed, in_checkout, is_committed
from reproductions.profiles import PROFILES, SELF_CONTAINED

if TYPE_CHECKING:
    import torch

    from reproductions.sources import Named

LARGEST_SEED = 2**32 - 1
PACKAGED_NOTICE = """
*** PROFILE packaged: no data and weights were named (FASTBERT_DATA, FASTBERT_MODELS) and the hub cannot be reached.
*** Text and a 6-layer encoder come from the package index. What they show is real, but not of the paper's data.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 all well, else as `exit_code` says."""
    return exit_code(partial(_command, arguments))


def _command(arguments: Sequence[str] | None) -> int:
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if hasattr(options, "results_dir"):
        options.results_dir = _results_dir(options)
    try:
        return options.command(options)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which need not be imported to name it
            raise
        raise RunError(str(error)) from error
    except KeyboardInterrupt:
        if options.command is _run or getattr(options, "work_dir", None) is not None:
            raise KeyboardInterrupt("the same command goes on from the last checkpoint") from None
        raise


def _results_dir(options: argparse.Namespace) -> Path:
    """Where a command reads, or writes. What is committed is written where --publish asks for it, and nowhere else."""
    publish = getattr(options, "publish", None)
    if publish or options.results_dir is None:
        return committed("results")
    if publish is not None and is_committed(options.results_dir, "results"):
        raise InputError(f"{options.results_dir}: found the committed results, expected --publish or another folder")
    return options.results_dir


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m reproductions", description="FastBERT's paper, reproduced.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="the tasks and their classes")
    command.set_defaults(command=_list)

    command = commands.add_parser("run", help="train, trace and measure tasks")
    command.add_argument("tasks", nargs="*", metavar="TASK", help="task names, or all")
    command.add_argument("--task-file", help="a task of your own (TOML)")
    _written(command)
    command.add_argument("--training", action="append", metavar="NAME", help="not the profile's; once for each")
    command.add_argument("--seed", type=_seed, help="default: 7")
    command.add_argument("--train-rows", type=_rows, help="how many training rows to use, or all")
    _sources(command)
    command.add_argument("--device", default="cpu", choices=DEVICES)
    command.add_argument("--precision", default="auto", choices=PRECISIONS, help="of training; traces are fp32")
    command.add_argument("--replace", action="store_true", help="let a run take the place of another of the same key")
    command.add_argument("--dry-run", action="store_true", help="say what would be fetched and run, and how long")
    command.add_argument("--cluster", metavar="ADDRESS", help="make the runs on a Ray cluster: host:port, or auto")
    command.add_argument("--cpus", type=_count, default=1, help="of each run on a cluster (default: %(default)s)")
    command.set_defaults(command=_run)

    command = commands.add_parser("measure", help="every table and curve again, from the stored traces")
    command.add_argument("--trace", type=Path, metavar="FILE", help="npz of another model: rules and exits, printed")
    command.add_argument("--calibration", type=Path, metavar="FILE", help="the same of rows to fit and solve rules on")
    _written(command)
    command.set_defaults(command=_measure)

    compared = {
        "rules": "exit rules beside each other: the leaderboard, printed",
        "budget": "as fast as asked, losing no more than tolerated: thresholds and what they keep, printed",
    }
    for name, about in compared.items():
        command = commands.add_parser(name, help=about)
        command.add_argument("tasks", nargs="+", metavar="TASK", help="task names, or all")
        _written(command, None, "has the traces and gets the tables (default: the committed are read, none is written)")
        command.set_defaults(command=_compared, what=name)

    for name, about in (("luha", "is lower uncertainty higher accuracy, by classifier"), ("ablation", "table 3")):
        command = commands.add_parser(name, help=f"{about}: a task's rows, printed")
        command.add_argument("task", metavar="TASK")
        _results(command)
        command.set_defaults(command=_print_table, table={"luha": "luha", "ablation": "table3"}[name])

    command = commands.add_parser("padding", help="what the paper's unit hides: real lengths of the tasks' texts")
    command.add_argument("tasks", nargs="+", metavar="TASK", help="task names, or all")
    _written(command)
    _sources(command)
    command.set_defaults(command=_padding)

    command = commands.add_parser("flops", help="table 1 and the paper's misprints, or the count of one configuration")
    command.add_argument("--publish", action="store_true", help="write table 1 where it is committed")
    command.add_argument("--backbone", type=Path, help="count this encoder's folder (default: BERT-base)")
    command.add_argument("--tokens", type=int, help="length of the text (default: the paper's)")
    command.add_argument("--classes", type=int, help="default: 2")
    command.add_argument("--exit-layer", type=int, help="default: the last")
    command.set_defaults(command=_flops)

    command = commands.add_parser("check", help="the gate: do accuracy, FLOPs and committed results still hold?")
    command.add_argument("--tier", action="append", choices=("exact", "live"), help="once for each (default: both)")
    command.add_argument("--report", type=Path, metavar="FILE", help="write every finding as CSV")
    command.add_argument("--update", action="store_true", help="expect from now on what was found")
    command.add_argument("--reason", metavar="TEXT", help="why, with --update; it lands in the file")
    _results(command)
    command.set_defaults(command=_check)
    return parser


def _results(command: ArgumentParser) -> None:
    command.add_argument("--profile", default="standard", choices=PROFILES)
    about = "holds one folder for each profile (default: the committed results)"
    command.add_argument("--results-dir", type=Path, help=about)


def _written(
    command: ArgumentParser,
    default: Path | None = Path("runs"),
    about: str = "gets one folder for each profile (default: %(default)s)",
) -> None:
    command.add_argument("--profile", default="standard", choices=PROFILES)
    place = command.add_mutually_exclusive_group()
    place.add_argument("--results-dir", type=Path, default=default, help=about)
    place.add_argument("--publish", action="store_true", help="write the committed results, and the pages with them")


def _sources(command: ArgumentParser) -> None:
    command.add_argument("--data-dir", help="folder of <task>/{train,dev,test}.tsv[.xz|.gz]; or FASTBERT_DATA")
    command.add_argument("--backbone", help="Hugging Face folder of an encoder, minilm or mpnet; or FASTBERT_MODELS")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
    return int(text)


def _rows(text: str) -> int | str:
    if text != "all" and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of rows, or all")
    return text if text == "all" else int(text)


def _list(options: argparse.Namespace) -> int:
    for task in TASKS.values():
        kind = "pairs" if task.pair else "texts"
        print(f"{task.name:16} {task.language}  {kind}  {len(task.classes):2} classes: {', '.join(task.classes)}")
    return 0


def _run(options: argparse.Namespace) -> int:
    if options.cluster:  # before what takes long to import
        from fastbert_core.cluster import check_answers

        check_answers(options.cluster)
    from tqdm import tqdm

    from fastbert_core.processes import processes
    from reproductions import pages, show
    from reproductions.plan import plan
    from reproductions.run import run

    _silence_transformers()
    named = _named(options, options.task_file)
    tasks = _tasks(options.tasks)
    if named.task_file is not None:
        tasks.append(named.task_file.task)
    if len(tasks) != 1 and (not tasks or named.task_file is not None):
        raise InputError("run: expected task names, or all, or one --task-file (names: python -m reproductions list)")
    device, precision = _arithmetic(options)
    together = processes(device.type)
    if together.count > 1 and options.cluster:
        raise InputError(f"--cluster: found {together.count} processes of one training, expected one")
    profile, notice = _settled(options, named)
    print(notice, end="")
    tasks = _stand_ins(profile, tasks)
    given = {"trainings": options.training, "seed": options.seed, "train_rows": options.train_rows}
    planned = partial(plan, profile=profile, named=named, device=device, precision=precision, log=tqdm.write, **given)
    parts, code = _by_group(options.results_dir / profile, tasks), 0
    if options.dry_run:
        from reproductions.dry_run import dry_run

        for results_dir, mine in parts.items():
            for error in dry_run(mine, profile, named, planned, results_dir, options.replace):
                code = fail(str(error), EXIT_BAD_INPUT)
    else:
        with _cluster(options.cluster, options.cpus) as make:
            with together.main_first():  # which may fetch data and encoder
                runs = {results_dir: planned(mine) for results_dir, mine in parts.items()}
            for results_dir, mine in runs.items():
                run(mine, results_dir, options.replace, tqdm.write, make, together)
        if not together.main:
            return code
        if options.publish:
            pages.write()
        for results_dir, mine in parts.items():
            beside = committed("results", profile, mine[0].group) if in_checkout() else results_dir
            for task in mine:
                print(show.task_rows(results_dir, task.name, beside))
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


@contextmanager
def _cluster(address: str | None, cpus: int) -> Iterator[Callable | None]:
    """What makes runs on the cluster at `address`; None where there is none."""
    if address is None:
        yield None
        return
    from tqdm import tqdm

    from fastbert_core.cluster import joined

    with joined(address, tqdm.write):
        from reproductions.campaign import on_cluster

        yield partial(on_cluster, cpus=cpus)


def _by_group(folder: Path, tasks: Sequence[Task]) -> dict[Path, list[Task]]:
    """The tasks by the folder that their results lie in: a profile's `folder`, or one within it."""
    parts: dict[Path, list[Task]] = {}
    for task in tasks:
        parts.setdefault(folder / task.group, []).append(task)
    return parts


def _place(folder: Path, name: str) -> Path:
    """Where the results of a task lie, which may be a user's own, in a profile's `folder`."""
    return folder / TASKS[name].group if name in TASKS else folder


def _silence_transformers() -> None:
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def _named(options: argparse.Namespace, task_file: str | None = None) -> "Named":
    """The sources that the user named. Raises InputError for an option that the profile has no use for."""
    from fastbert_core.packaged import ENCODERS
    from reproductions.sources import Named

    for option, value in (("--data-dir", options.data_dir), ("--backbone", options.backbone)):
        wheel = option == "--backbone" and options.profile == "packaged" and value in ENCODERS
        if value is not None and options.profile in SELF_CONTAINED and not wheel:
            raise InputError(f"{option}: profile {options.profile} brings its own text and encoder, expected no folder")
    return Named.from_user(options.data_dir, options.backbone, task_file)


def _settled(options: argparse.Namespace, named: "Named") -> tuple[str, str]:
    """The profile that will run, and what to say before and after where it is not the one that was asked for."""
    from reproductions.sources import settle_profile

    profile = settle_profile(options.profile, named)
    return profile, PACKAGED_NOTICE if profile != options.profile else ""


def _tasks(names: Sequence[str]) -> list[Task]:
    return list(PAPER_TASKS.values()) if names == ["all"] else [get_task(name) for name in dict.fromkeys(names)]


def _stand_ins(profile: str, tasks: Sequence[Task]) -> list[Task]:
    """The tasks, or those whose text takes their place in the profile, each once."""
    from reproductions.settings import stand_in

    chosen = {}
    for task in tasks:
        other = stand_in(profile, task)
        chosen[other.name] = other
        if other is not task:
            print(f"{task.name}: {other.name} stands in for it, {len(other.classes)} classes of its own")
        elif profile == "packaged" and task.package is None:
            print(f"{task.name}: generated text, since no package has text like it")
    return list(chosen.values())


def _padding(options: argparse.Namespace) -> int:
    from tqdm import tqdm

    from reproductions import show
    from reproductions.lock import locked
    from reproductions.padding import padding, record_padding
    from reproductions.sources import load_data, load_encoder

    _silence_transformers()
    named, tasks = _named(options), _tasks(options.tasks)
    profile, notice = _settled(options, named)
    print(notice, end="")
    tasks, tables = _stand_ins(profile, tasks), []
    for task in tqdm(tasks, desc="tasks", disable=None):
        data = load_data(profile, task, named)
        tables.append(padding(data, load_encoder(profile, task, named, data, tqdm.write)))
    results_dir = options.results_dir / profile
    results_dir.mkdir(parents=True, exist_ok=True)
    with locked(results_dir, tqdm.write):
        record_padding(results_dir, tables)
    for task in tasks:
        print(show.table(results_dir, "padding", task.name))
    print(notice, end="")
    return 0


def _measure(options: argparse.Namespace) -> int:
    from reproductions import pages
    from reproductions.lock import locked
    from reproductions.measure import groups, measure

    if options.trace is not None or options.calibration is not None:
        return _measure_foreign(options)
    written = []
    for results_dir in groups(options.results_dir / options.profile):
        with locked(results_dir, print):
            written += measure(results_dir)
    if options.publish:
        written += pages.write()
    for path in written:
        print(path)
    return 0


def _measure_foreign(options: argparse.Namespace) -> int:
    from fastbert_core.foreign import calibrating, load_foreign
    from reproductions import rules
    from reproductions.exits import exits
    from reproductions.tables import write_tables

    if options.trace is None or options.publish:
        raise InputError("measure: expected --trace with --calibration, and neither with --publish")
    test = load_foreign(options.trace)
    traces = [test, *([calibrating(test, options.calibration)] if options.calibration else [])]
    tables = rules.measured(traces) | {"exits": exits([test])}
    folder = options.results_dir / "foreign" / test.metadata["task"]
    folder.mkdir(parents=True, exist_ok=True)
    written = write_tables(folder, {name: table for name, table in tables.items() if not table.empty})
    print(rules.board_text(tables["leaderboard"]) if options.calibration else "no leaderboard without --calibration")
    print(tables["exits"].drop(columns=["task", "training", "seeds", "run_id"]).round(3).to_string(index=False))
    for path in written:
        print(path)
    return 0


def _compared(options: argparse.Namespace) -> int:
    from reproductions import pages

    folder, names = options.results_dir / options.profile, list(dict.fromkeys(options.tasks))
    parts: dict[Path, list[str] | None] = {folder: None} if names == ["all"] else {}
    for name in names if not parts else ():
        parts.setdefault(_place(folder, name), []).append(name)
    written = [path for place, tasks in parts.items() for path in _compared_in(options, place, tasks)]
    written += pages.write() if options.publish else []
    for path in written:
        print(path)
    return 0


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


def _print_table(options: argparse.Namespace) -> int:
    from reproductions import show

    print(show.table(_place(options.results_dir / options.profile, options.task), options.table, options.task))
    return 0


def _flops(options: argparse.Namespace) -> int:
    from reproductions import flops

    _silence_transformers()
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
    return 0


def _check(options: argparse.Namespace) -> int:
    from reproductions.check import check

    _silence_transformers()
    return check(options, is_committed(options.results_dir, "results"))
