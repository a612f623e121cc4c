"""The command `fastbert`: train, predict, serve, calibrate, evaluate, show, list, and their options."""

import logging
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

from fastbert_core import commands
from fastbert_core.arguments import ArgumentParser, exit_code, number, picture, whole
from fastbert_core.errors import InputError
from fastbert_core.precision import ENGINE_PRECISIONS, FASTEST, PRECISIONS

OF_DEVICE = "cpu, cuda or cuda:N (default: auto, a GPU where there is one)"
OF_ENGINES = (*ENGINE_PRECISIONS, FASTEST)
OF_PRECISION = "default: fp32; auto: bf16 where the machine has it; fastest: as `calibrate` has found on one like this"
TYPES = ("single-label", "multi-label", "regression", "sequence-labelling")
PRINTING = (commands.predict, commands.evaluate, commands.show_model, commands.list_names)  # and nothing else
DATA = "CSV, TSV, JSONL, Parquet, a folder or hub id of Hugging Face's form"
RATE, SECONDS = number(1, "a number between 0 and 1"), number(float("inf"), "a positive number of seconds")


def main(arguments: Sequence[str] | None = None, prog: str = "fastbert") -> int:
    """Run a command and return its exit code: 0 all well, else as `exit_code` says."""
    return exit_code(partial(_command, arguments, prog), "; a smaller --batch-size takes less")


def _command(arguments: Sequence[str] | None, prog: str) -> int:
    options = parser(prog).parse_args(arguments)
    if sys.__stdout__ is None and options.command in PRINTING and not getattr(options, "cluster", None):
        raise InputError("standard output: found it closed, expected somewhere to print to, such as > FILE")
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    options.command(options)
    return 0


def parser(prog: str = "fastbert") -> ArgumentParser:
    """The command line. Completion in a shell is made of it: docs/quickstart.md."""
    made = ArgumentParser(prog=prog, description="Text classifiers that exit early, as fast or as good as you ask.")
    made.add_argument("--version", action="version", version=f"fastbert {_version()}")
    subparsers = made.add_subparsers(required=True, metavar="COMMAND")

    command = subparsers.add_parser("train", help="from labelled text to a calibrated model folder")
    command.add_argument("data", metavar="DATA", help=f"{DATA}; or a task's name")
    command.add_argument("--out", required=True, type=Path, help="the model's folder")
    command.add_argument("--dev", metavar="DATA", help="rows held out (default: a part of DATA, each class alike)")
    command.add_argument("--test", metavar="DATA", help="rows to measure on, which choose nothing")
    encoder = command.add_mutually_exclusive_group()
    encoder.add_argument("--backbone", help="a name (fastbert list backbones), a folder or a hub id (default: minilm)")
    encoder.add_argument("--classifier", metavar="FOLDER", help="a fine-tuned classifier: its encoder is kept")
    command.add_argument("--type", choices=TYPES, help="what a row is labelled with (default: single-label, one class)")
    of_scores = "a regression's least and largest (default: those of the training rows)"
    command.add_argument("--scores", type=float, nargs=2, metavar=("LOW", "HIGH"), help=of_scores)
    command.add_argument(
        "--training", help="one of `fastbert list trainings` that makes exits (default: self-distillation)"
    )
    command.add_argument("--epochs", type=whole, help="of fine-tuning (default: 3, more where rows are few)")
    command.add_argument("--rate", type=RATE, help="of fine-tuning (default: 2e-5; 2e-4 for narrow encoders)")
    command.add_argument("--student-epochs", type=whole, help="default: until the loss stops falling")
    command.add_argument("--student-rate", type=RATE, help="default: 1e-3")
    command.add_argument("--batch-size", type=whole, help="default: 32")
    command.add_argument("--max-tokens", type=whole, help="what texts are cut to (default: 128)")
    command.add_argument("--train-rows", type=whole, help="how many labelled rows to learn from (default: all)")
    command.add_argument("--seed", type=int, help="default: 7")
    command.add_argument("--precision", choices=PRECISIONS, help="of training (default: auto)")
    command.add_argument("--replace", action="store_true", default=None, help="let a model in the folder go")
    _common(command, commands.train)

    command = subparsers.add_parser("predict", help="a line of JSON for each text, as it comes")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("texts", metavar="TEXTS", nargs="?", default="-", help=f"lines of text, {DATA} (default: -)")
    wanted = command.add_mutually_exclusive_group()
    wanted.add_argument("--speed", type=float, help="threshold of the uncertainty, from 0 (all layers) to 1")
    wanted.add_argument("--speedup", type=float, help="so many times fewer operations, such as 3")
    wanted.add_argument("--max-disagreement", type=float, help="share answered otherwise than in full (default: 0.01)")
    wanted.add_argument("--budget", type=float, help="mean layers, held over a stream whatever comes")
    wanted.add_argument("--layers-per-second", type=float, help="held over a stream that comes at its own pace")
    command.add_argument("--probabilities", action="store_true", help="of every class, too")
    command.add_argument("--batch-size", type=whole, help="1 answers each line before it reads the next")
    command.add_argument("--cluster", metavar="ADDRESS", help="of a Ray cluster, host:port or auto, for many files")
    command.add_argument("--out", type=Path, metavar="DIR", help="gets a Parquet file for each file, with --cluster")
    command.add_argument("--workers", type=whole, help="engines on the cluster (default: all there is room for)")
    command.add_argument("--cpus", type=whole, help="of each engine on the cluster (default: 1)")
    command.add_argument("--precision", choices=OF_ENGINES, default="fp32", help=OF_PRECISION)
    _common(command, commands.predict, label=False)

    command = subparsers.add_parser("calibrate", help="operating points by other texts, which need no labels")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--texts", required=True, metavar="DATA", help=f"lines of text, {DATA}")
    command.add_argument("--seconds", action="store_true", help="speedups of this machine's seconds, not of operations")
    _common(command, commands.calibrate)

    command = subparsers.add_parser("evaluate", help="accuracy and cost at every operating point, class by class")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("data", metavar="DATA", help=f"{DATA}; of several splits, test; or a task's name")
    command.add_argument("--rules", action="store_true", help="other exit rules at equal cost, too, with intervals")
    drawn = "gets accuracy against speedup, as its name ends: .png, .svg or .pdf; needs matplotlib"
    command.add_argument("--plot", metavar="FILE", type=picture, help=drawn)
    _common(command, commands.evaluate)

    command = subparsers.add_parser("serve", help="answer over HTTP until SIGTERM; needs the extra `serve`")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    command.add_argument("--port", type=int, default=8000, help="default: 8000; 0 takes a free one")
    wanted = command.add_mutually_exclusive_group()
    wanted.add_argument("--speed", type=float, help="of requests that name none")
    wanted.add_argument("--speedup", type=float, help="of requests that name none")
    wanted.add_argument("--max-disagreement", type=float, help="of requests that name none (default: 0.01)")
    command.add_argument("--queue", type=whole, default=1024, help="texts under way at a time (default: 1024)")
    command.add_argument("--max-bytes", type=whole, default=2**20, help="of a request's body (default: 1048576)")
    command.add_argument("--deadline", type=SECONDS, default=30.0, help="seconds a request may take (default: 30)")
    command.add_argument("--precision", choices=OF_ENGINES, default="fp32", help=OF_PRECISION)
    command.add_argument("--device", default="auto", help=OF_DEVICE)
    command.set_defaults(command=commands.serve)

    command = subparsers.add_parser("show", help="what a model is, where it came from, what it can do")
    command.add_argument("model", metavar="MODEL", type=Path)
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=commands.show_model)

    command = subparsers.add_parser("list", help="what there is by name")
    command.add_argument("what", choices=list(commands.LISTS))
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=commands.list_names)
    return made


def _common(command: ArgumentParser, run: Callable, label: bool = True) -> None:
    command.add_argument("--text", metavar="COLUMN", help="that holds the text (default: of the usual names)")
    command.add_argument("--pair", metavar="COLUMN", help="that holds the second text of a pair")
    if label:
        command.add_argument("--label", metavar="COLUMN", help="that holds the class")
        command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--encoding", help="of text files (default: UTF-8, or what a byte-order mark says)")
    command.add_argument("--device", default="auto", help=OF_DEVICE)
    command.set_defaults(command=run)


def _version() -> str:
    try:
        return version("fastbert-core")
    except PackageNotFoundError:
        return "from a checkout"
