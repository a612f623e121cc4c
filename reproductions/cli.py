"""The command line: `python -m reproductions list | run | measure | rules | budget | …`, each with --help."""

import argparse
import logging
import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.arguments import ArgumentParser, command_line, whole
from fastbert_core.errors import InputError
from fastbert_core.precision import DEVICES, PRECISIONS
from reproductions import commands
from reproductions.checkout import committed, is_committed
from reproductions.claims import TIERS
from reproductions.names import PROFILES

LARGEST_SEED = 2**32 - 1


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code: 0 all well, else as `exit_code` says."""
    options = _parser().parse_args(arguments)
    sys.stdout.reconfigure(line_buffering=True)  # a log shows each line when it is told, between the warnings
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    if hasattr(options, "results_dir"):
        options.results_dir = _results_dir(options)
    return options.command(options) or 0


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
    subparsers = parser.add_subparsers(required=True, metavar="COMMAND")

    command = subparsers.add_parser("list", help="the tasks and their classes")
    command.set_defaults(command=commands.list_tasks)

    command = subparsers.add_parser("run", help="train, trace and measure tasks")
    command.add_argument("tasks", nargs="*", metavar="TASK", help="task names, or all")
    command.add_argument("--task-file", help="a task of your own (TOML)")
    _written(command)
    command.add_argument("--training", action="append", metavar="NAME", help="not the profile's; once for each")
    command.add_argument("--seed", type=_seed, help="default: 7")
    command.add_argument("--train-rows", type=_rows, help="how many training rows to use, or all")
    _sources(command)
    _arithmetic(command)
    command.add_argument("--replace", action="store_true", help="let a run take the place of another of the same key")
    command.add_argument("--dry-run", action="store_true", help="say what would be fetched and run, and how long")
    command.add_argument("--cluster", metavar="ADDRESS", help="make the runs on a Ray cluster: host:port, or auto")
    command.add_argument("--cpus", type=whole, default=1, help="of each run on a cluster (default: %(default)s)")
    command.set_defaults(command=commands.run_tasks)

    command = subparsers.add_parser("measure", help="every table and curve again, from the stored traces")
    command.add_argument("--trace", type=Path, metavar="FILE", help="npz of another model: rules and exits, printed")
    command.add_argument("--calibration", type=Path, metavar="FILE", help="the same of rows to fit and solve rules on")
    _written(command)
    command.set_defaults(command=commands.measure_stored)

    compared = {
        "rules": "exit rules beside each other: the leaderboard, printed",
        "budget": "as fast as asked, losing no more than tolerated: thresholds and what they keep, printed",
    }
    for name, about in compared.items():
        command = subparsers.add_parser(name, help=about)
        command.add_argument("tasks", nargs="+", metavar="TASK", help="task names, or all")
        _written(command, None, "has the traces and gets the tables (default: the committed are read, none is written)")
        command.set_defaults(command=commands.compare_on_traces, what=name)

    for name, table, about in (
        ("luha", "luha", "is lower uncertainty higher accuracy, by classifier"),
        ("ablation", "table3", "table 3"),
    ):
        command = subparsers.add_parser(name, help=f"{about}: a task's rows, printed")
        command.add_argument("task", metavar="TASK")
        _results(command)
        command.set_defaults(command=commands.print_table, table=table)

    command = subparsers.add_parser("grid", help="what makes texts leave late: variants of a training, by dev")
    command.add_argument("task", metavar="TASK")
    _written(command)
    command.add_argument("--train-rows", type=_rows, default=2000, help="how many training rows (default: %(default)s)")
    command.add_argument("--seed", type=_seed, help="default: 7")
    _sources(command)
    _arithmetic(command)
    command.set_defaults(command=commands.train_grid, cluster=None)

    command = subparsers.add_parser(
        "flops", help="table 1 and the paper's misprints, or the count of one configuration"
    )
    command.add_argument("--publish", action="store_true", help="write table 1 where it is committed")
    command.add_argument("--backbone", type=Path, help="count this encoder's folder (default: BERT-base)")
    command.add_argument("--tokens", type=int, help="length of the text (default: the paper's)")
    command.add_argument("--classes", type=int, help="default: 2")
    command.add_argument("--exit-layer", type=int, help="default: the last")
    command.set_defaults(command=commands.count_flops)

    command = subparsers.add_parser("check", help="the gate: do accuracy, FLOPs and committed results still hold?")
    command.add_argument("--tier", action="append", choices=TIERS, help="once for each (default: exact and live)")
    command.add_argument("--report", type=Path, metavar="FILE", help="write every finding as CSV")
    command.add_argument("--update", action="store_true", help="expect from now on what was found")
    command.add_argument("--reason", metavar="TEXT", help="why, with --update; it lands in the file")
    _results(command)
    command.set_defaults(command=commands.hold_the_gate)
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


def _arithmetic(command: ArgumentParser) -> None:
    command.add_argument("--device", default="cpu", choices=DEVICES)
    command.add_argument("--precision", default="auto", choices=PRECISIONS, help="of training; traces are fp32")


def _seed(text: str) -> int:
    if not text.isdecimal() or int(text) > LARGEST_SEED:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 0 to {LARGEST_SEED}")
    return int(text)


def _rows(text: str) -> int | str:
    if text != "all" and (not text.isdecimal() or int(text) < 1):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number of rows, or all")
    return text if text == "all" else int(text)
