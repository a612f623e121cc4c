"""The command `fastbert`: train, predict, serve, calibrate, evaluate, show, list; each imports what it needs."""

import argparse
import json
import logging
import re
import sys
from collections.abc import Callable, Sequence
from functools import partial
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING

from fastbert_core import show
from fastbert_core.arguments import ArgumentParser, exit_code
from fastbert_core.errors import InputError, RunError

if TYPE_CHECKING:
    from fastbert_core.evaluation import Said

HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
DEVICES = ("auto", "cpu", "cuda")
OF_ENGINES = ("fp32", "bf16", "fp16", "int8", "auto", "fastest")
FASTEST = "default: fp32; auto: bf16 where the machine has it; fastest: as `calibrate` has found on one like this"
TYPES = ("single-label", "multi-label", "regression", "sequence-labelling")
READ = ("text", "pair", "label", "encoding")
TRAINED = (
    *("dev", "test", "type", "backbone", "classifier", "training", "epochs", "rate", "student_epochs", "student_rate"),
    *("batch_size", "max_tokens", "train_rows", "seed", "device", "precision", "replace", *READ),
)
DATA = "CSV, TSV, JSONL, Parquet, a folder or hub id of Hugging Face's form"


def main(arguments: Sequence[str] | None = None, prog: str = "fastbert") -> int:
    """Run a command and return its exit code: 0 all well, else as `exit_code` says."""
    return exit_code(partial(_command, arguments, prog))


def _command(arguments: Sequence[str] | None, prog: str) -> int:
    options = _parser(prog).parse_args(arguments)
    logging.basicConfig(format="%(levelname)s: %(message)s", level=logging.WARNING)
    try:
        options.command(options)
    except RuntimeError as error:
        if type(error).__name__ != "OutOfMemoryError":  # torch's, which need not be imported to name it
            raise
        raise RunError(f"{error}; a smaller --batch-size takes less") from error
    except KeyboardInterrupt:
        if options.command is _train:
            raise KeyboardInterrupt("the same command goes on from the last checkpoint") from None
        raise
    return 0


def _parser(prog: str) -> ArgumentParser:
    parser = ArgumentParser(prog=prog, description="Text classifiers that exit early, as fast or as good as you ask.")
    parser.add_argument("--version", action="version", version=f"fastbert {_version()}")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    command = commands.add_parser("train", help="from labelled text to a calibrated model folder")
    command.add_argument("data", metavar="DATA", help=f"{DATA}; or a task's name")
    command.add_argument("--out", required=True, type=Path, help="the model's folder")
    command.add_argument("--dev", metavar="DATA", help="rows held out (default: a part of DATA, each class alike)")
    command.add_argument("--test", metavar="DATA", help="rows to measure on, which choose nothing")
    encoder = command.add_mutually_exclusive_group()
    encoder.add_argument("--backbone", help="a name (fastbert list backbones), a folder or a hub id (default: minilm)")
    encoder.add_argument("--classifier", metavar="FOLDER", help="a fine-tuned classifier: its encoder is kept")
    command.add_argument("--type", choices=TYPES, help="what a row is labelled with (default: single-label, one class)")
    command.add_argument("--training", help="one of `fastbert list trainings` (default: self-distillation)")
    command.add_argument("--epochs", type=_count, help="of fine-tuning (default: 3, more where rows are few)")
    command.add_argument("--rate", type=_positive, help="of fine-tuning (default: 2e-5; 2e-4 for narrow encoders)")
    command.add_argument("--student-epochs", type=_count, help="default: until the loss stops falling")
    command.add_argument("--student-rate", type=_positive, help="default: 1e-3")
    command.add_argument("--batch-size", type=_count, help="default: 32")
    command.add_argument("--max-tokens", type=_count, help="what texts are cut to (default: 128)")
    command.add_argument("--train-rows", type=_count, help="how many labelled rows to learn from (default: all)")
    command.add_argument("--seed", type=int, help="default: 7")
    command.add_argument("--precision", choices=("auto", "fp32", "bf16"), help="of training (default: auto)")
    command.add_argument("--replace", action="store_true", default=None, help="let a model in the folder go")
    _common(command, _train)

    command = commands.add_parser("predict", help="a line of JSON for each text, as it comes")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("texts", metavar="TEXTS", nargs="?", default="-", help=f"lines of text, {DATA} (default: -)")
    wanted = command.add_mutually_exclusive_group()
    wanted.add_argument("--speed", type=float, help="threshold of the uncertainty, from 0 (all layers) to 1")
    wanted.add_argument("--speedup", type=float, help="so many times fewer operations, such as 3")
    wanted.add_argument("--max-disagreement", type=float, help="share answered otherwise than in full (default: 0.01)")
    wanted.add_argument("--budget", type=float, help="mean layers, held over a stream whatever comes")
    wanted.add_argument("--layers-per-second", type=float, help="held over a stream that comes at its own pace")
    command.add_argument("--probabilities", action="store_true", help="of every class, too")
    command.add_argument("--batch-size", type=_count, help="1 answers each line before it reads the next")
    command.add_argument("--cluster", metavar="ADDRESS", help="of a Ray cluster, host:port or auto, for many files")
    command.add_argument("--out", type=Path, metavar="DIR", help="gets a Parquet file for each file, with --cluster")
    command.add_argument("--workers", type=_count, help="engines on the cluster (default: all there is room for)")
    command.add_argument("--cpus", type=_count, help="of each engine on the cluster (default: 1)")
    command.add_argument("--precision", choices=OF_ENGINES, default="fp32", help=FASTEST)
    _common(command, _predict, label=False)

    command = commands.add_parser("calibrate", help="operating points by other texts, which need no labels")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--texts", required=True, metavar="DATA", help=f"lines of text, {DATA}")
    command.add_argument("--seconds", action="store_true", help="speedups of this machine's seconds, not of operations")
    _common(command, _calibrate)

    command = commands.add_parser("evaluate", help="accuracy and cost at every operating point, class by class")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("data", metavar="DATA", help=f"{DATA}; of several splits, test; or a task's name")
    command.add_argument("--rules", action="store_true", help="other exit rules at equal cost, too")
    _common(command, _evaluate)

    command = commands.add_parser("serve", help="answer over HTTP until SIGTERM; needs the extra `serve`")
    command.add_argument("model", metavar="MODEL")
    command.add_argument("--host", default="127.0.0.1", help="default: 127.0.0.1, this machine alone")
    command.add_argument("--port", type=int, default=8000, help="default: 8000; 0 takes a free one")
    wanted = command.add_mutually_exclusive_group()
    wanted.add_argument("--speed", type=float, help="of requests that name none")
    wanted.add_argument("--speedup", type=float, help="of requests that name none")
    wanted.add_argument("--max-disagreement", type=float, help="of requests that name none (default: 0.01)")
    command.add_argument("--queue", type=_count, default=1024, help="texts under way at a time (default: 1024)")
    command.add_argument("--max-bytes", type=_count, default=2**20, help="of a request's body (default: 1048576)")
    command.add_argument("--deadline", type=_seconds, default=30.0, help="seconds a request may take (default: 30)")
    command.add_argument("--precision", choices=OF_ENGINES, default="fp32", help=FASTEST)
    command.add_argument("--device", choices=DEVICES, default="auto")
    command.set_defaults(command=_serve)

    command = commands.add_parser("show", help="what a model is, where it came from, what it can do")
    command.add_argument("model", metavar="MODEL", type=Path)
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=_show)

    command = commands.add_parser("list", help="what there is by name")
    command.add_argument("what", choices=LISTS)
    command.add_argument("--json", action="store_true")
    command.set_defaults(command=_list)
    return parser


def _common(command: ArgumentParser, run: Callable, label: bool = True) -> None:
    command.add_argument("--text", metavar="COLUMN", help="that holds the text (default: of the usual names)")
    command.add_argument("--pair", metavar="COLUMN", help="that holds the second text of a pair")
    if label:
        command.add_argument("--label", metavar="COLUMN", help="that holds the class")
        command.add_argument("--json", action="store_true", help="print JSON")
    command.add_argument("--encoding", help="of text files (default: UTF-8, or what a byte-order mark says)")
    command.add_argument("--device", choices=DEVICES, default="auto", help="default: auto, a GPU where there is one")
    command.set_defaults(command=run)


def _count(text: str) -> int:
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
    return int(text)


def _positive(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a number between 0 and 1")
    return value


def _seconds(text: str) -> float:
    try:
        value = float(text)
    except ValueError:
        value = 0.0
    if not 0 < value < float("inf"):
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a positive number of seconds")
    return value


def _train(options: argparse.Namespace) -> None:
    _quiet()
    from fastbert_core.classifier import train_classifier

    given = {name: value for name in TRAINED if (value := getattr(options, name)) is not None}
    record = train_classifier(options.data, options.out, **given)
    if not record:  # another process of several has it
        return
    if options.json:
        print(json.dumps(record, ensure_ascii=False))
        return
    print(show.shown(options.out))
    print(f"model in {options.out}; next: fastbert predict {options.out} FILE --max-disagreement 0.01")


def _predict(options: argparse.Namespace) -> None:
    wanted = _wanted(options)
    read = {name: getattr(options, name) for name in ("text", "pair", "encoding")}
    alone = {"--out": options.out, "--workers": options.workers, "--cpus": options.cpus}
    if options.cluster is not None:
        print(_predict_backlog(options, wanted, read), file=sys.stderr)
        return
    if given := [name for name, value in alone.items() if value is not None]:
        raise InputError(f"{given[0]}: found it without --cluster, expected both")
    _quiet()
    from fastbert_core.predicting import predict

    told = predict(
        *(_folder_or_id(options.model), options.texts, wanted, read),
        device=options.device,
        batch_size=options.batch_size,
        precision=options.precision,
        probabilities=options.probabilities,
    )
    print(told, file=sys.stderr)


def _predict_backlog(options: argparse.Namespace, wanted: dict, read: dict) -> str:
    from fastbert_core.cluster import check_answers

    for name in {"budget", "layers_per_second"} & wanted.keys():
        option = f"--{name.replace('_', '-')}"
        raise InputError(f"{option}: found it with --cluster, expected one stream, which one engine reads in order")
    if options.out is None:
        raise InputError("--cluster: found no --out, expected the folder that gets the results")
    check_answers(options.cluster)
    from fastbert_core.backlog import predict_backlog

    return predict_backlog(
        *(_folder_or_id(options.model), options.texts, options.out, wanted, read, options.cluster),
        lambda line: print(line, file=sys.stderr),
        workers=options.workers,
        cpus=options.cpus or 1,
        device="cpu" if options.device == "auto" else options.device,
        batch_size=options.batch_size,
        probabilities=options.probabilities,
    )


def _wanted(options: argparse.Namespace) -> dict[str, float]:
    names = "speed", "speedup", "max_disagreement", "budget", "layers_per_second"
    given = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None} or {"max_disagreement": 0.01}


def _serve(options: argparse.Namespace) -> None:
    _quiet()
    try:
        from fastbert_core.serving import Limits, serve
    except ModuleNotFoundError as error:
        remedy = "pip install 'fastbert-core[serve]' brings it"
        raise InputError(f"serve: found no package {error.name}, expected it; {remedy}") from None
    from fastbert_core.engine import Engine
    from fastbert_core.precision import resolve_device

    device = resolve_device(options.device).type
    more = {"precision": options.precision, "device": device, "queue": options.queue}
    engine = Engine.from_pretrained(_folder_or_id(options.model), **more)
    serve(engine, Limits(_wanted(options), options.max_bytes, options.deadline), options.host, options.port)


def _calibrate(options: argparse.Namespace) -> None:
    from fastbert_core.encoding import load_tokenizer
    from fastbert_core.engine import Engine
    from fastbert_core.fastest import fastest_of, try_precisions
    from fastbert_core.known_precision import keep_precision
    from fastbert_core.operating_points import save_points

    said = _said(options, options.texts, "calibration", labelled=False)
    folder = Path(options.model)
    tokenizer = load_tokenizer(folder)
    shapes = Engine(said.model, tokenizer).shapes() if options.seconds else None
    save_points(said.operating_points(folder, shapes), folder)
    tried = try_precisions(said.model, tokenizer, said.split.texts, said.split.pairs)
    best, times = fastest_of(tried), tried[0].texts_per_second
    keep_precision(folder, said.model.device, best.precision, [each._asdict() for each in tried])
    told = f"{best.texts_per_second / times:.2f} times fp32, with its label in {best.same:.1f}% of the texts"
    print(f"fastest precision on this machine: {best.precision}, {told}", file=sys.stderr)
    show.rewrite_card(folder)
    print(json.dumps(show.points_table(folder)) if options.json else show.shown(folder))


def _evaluate(options: argparse.Namespace) -> None:
    from fastbert_core.evaluation import beside
    from fastbert_core.operating_points import FILE, load_points, weights_sha256

    said, folder = _said(options, options.data, "test", labelled=True), Path(options.model)
    path = folder / FILE
    tables = said.tables(load_points(path, weights_sha256(folder)) if path.exists() else None)
    if tables is None:
        raise InputError(f"{options.data}: found no labels, expected some to evaluate by")
    if options.rules:
        tables["rules"] = beside(*said.labelled, said.shape, said.model.kind, said.model.config.class_names)
    if options.json:
        print(json.dumps(tables, ensure_ascii=False))
        return
    common = "the commonest class is" if tables["classes"] else "one answer for all is right to"
    print(f"{tables['rows']} rows; {common} {tables['majority']:.2f}% of them")
    if tables["confidence"] is not None:
        print(f"the full model is {tables['confidence']:.2f}% sure on average")
    named = ["points", *["classes"] * bool(tables["classes"]), *["rules"] * options.rules]
    for name in named:
        print(f"\n{show.table(tables[name])}")
    if not path.exists():
        print(f"\nno operating points; next: fastbert calibrate {folder} --texts FILE")


def _said(options: argparse.Namespace, data: str, progress: str, labelled: bool) -> "Said":
    """What a model's exits say of the rows of `data`, whose labels are the model's classes."""
    _quiet()
    from fastbert_core import inputs, sources
    from fastbert_core.encoding import load_tokenizer
    from fastbert_core.evaluation import said_of
    from fastbert_core.model import FastBertModel
    from fastbert_core.precision import resolve_device
    from fastbert_core.tasks import TASKS

    model = FastBertModel.from_pretrained(_folder_or_id(options.model)).to(resolve_device(options.device))
    if data in TASKS:
        split = sources.load_task(TASKS[data], lambda line: print(line, file=sys.stderr)).test
    else:
        read = {name: getattr(options, name) for name in READ}
        of = {"kind": model.kind, "scores": model.config.scores}
        split = inputs.rows_for(data, model.config.class_names, labelled, **read, **of)
    if model.config.pair not in (None, split.pairs is not None):
        expected = "pairs of texts; --pair COLUMN names the second" if model.config.pair else "single texts"
        raise InputError(f"{data}: found {'single texts' if split.pairs is None else 'pairs'}, expected {expected}")
    return said_of(model, load_tokenizer(options.model), split, progress)


def _show(options: argparse.Namespace) -> None:
    if options.json:
        print(json.dumps(show.read_record(options.model) | {"operating_points": show.points_table(options.model)}))
        return
    print(show.shown(options.model))


def _list(options: argparse.Namespace) -> None:
    rows = LISTS[options.what]()
    print(json.dumps(rows, ensure_ascii=False) if options.json else show.table(rows))


def _tasks() -> list[dict]:
    from fastbert_core.tasks import TASKS

    return [
        {
            "task": task.name,
            "language": task.language,
            "type": task.type,
            "kind": "pairs" if task.pair else "texts",
            "from": "package index" if task.package else "hub" if task.hub else "files",
            "classes": len(task.classes),
        }
        for task in TASKS.values()
    ]


def _rules() -> list[dict]:
    from fastbert_core.exit_rules import RULES

    return [
        {"rule": name, "needs fitting": "yes" if rule.needs_fit else "", "for": ", ".join(rule.types)}
        for name, rule in RULES.items()
    ]


def _trainings() -> list[dict]:
    from fastbert_core.trainings import TRAININGS, Schedule, Schedules

    schedules = Schedules(Schedule(1, 1e-3), Schedule(1, 1e-3))
    stages = {name: training(schedules) for name, training in TRAININGS.items()}
    told = {
        name: ", then ".join(f"{' and '.join(stage.trains)} on {stage.loss}" for stage in of)
        for name, of in stages.items()
    }
    return [{"training": name, "stages": stages} for name, stages in told.items()]


def _backbones() -> list[dict]:
    from fastbert_core.sources import BACKBONES

    return [{"backbone": name, "what": what} for name, what in BACKBONES.items()]


LISTS = {"tasks": _tasks, "rules": _rules, "trainings": _trainings, "backbones": _backbones}


def _folder_or_id(model: str) -> str:
    """`model`. Raises InputError if it is neither a folder nor may be a hub id."""
    if not Path(model).is_dir() and not HUB_ID.fullmatch(model):
        raise InputError(f"{model}: no such folder, expected a trained model's, or its hub id (owner/name)")
    return model


def _quiet() -> None:
    """transformers' own bars and advice, which are for programmers, off."""
    import transformers

    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def _version() -> str:
    try:
        return version("fastbert-core")
    except PackageNotFoundError:
        return "from a checkout"
