"""What the commands of `fastbert` do; each imports what it needs, so that help comes at once."""

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from fastbert_core import show
from fastbert_core.arguments import quiet, resumable
from fastbert_core.errors import InputError
from fastbert_core.files import model_source

if TYPE_CHECKING:
    from fastbert_core.engine import Engine
    from fastbert_core.evaluation import Said

READ = ("text", "pair", "label", "encoding")


@resumable()
def train(options: argparse.Namespace) -> None:
    """A model folder, calibrated."""
    quiet()
    from fastbert_core.classifier import train_classifier
    from fastbert_core.operating_points import FILE, load_points

    own = ("command", "json")  # all other options have the names of the function's arguments
    given = {name: value for name, value in vars(options).items() if value is not None and name not in own}
    record = train_classifier(**given)
    if not record:  # of several processes the main one alone has it
        return
    if options.json:
        print(json.dumps(record, ensure_ascii=False))
        return
    print(show.shown(options.out))
    first = show.first_option(load_points(options.out / FILE))
    print(f"model in {options.out}; next: fastbert predict {options.out} FILE {first}")


def predict(options: argparse.Namespace) -> None:
    """A line of JSON for each text; with --cluster, a file for each file."""
    wanted = _wanted(options)
    read = {name: getattr(options, name) for name in ("text", "pair", "encoding")}
    if options.cluster is not None:
        print(_predict_backlog(options, wanted, read), file=sys.stderr)
        return
    for name in ("out", "workers", "cpus"):
        if getattr(options, name) is not None:
            raise InputError(f"--{name}: found it without --cluster, expected both")
    engine = _engine(options)
    from fastbert_core.predicting import predict

    print(predict(engine, options.texts, wanted, read, options.batch_size, options.probabilities), file=sys.stderr)
    _warn_of_none(engine, wanted)


def _predict_backlog(options: argparse.Namespace, wanted: dict, read: dict) -> str:
    import torch

    from fastbert_core.cluster import check_answers
    from fastbert_core.precision import DEVICES, ENGINE_PRECISIONS, FASTEST, resolve_precision

    for name in {"budget", "layers_per_second"} & wanted.keys():
        option = f"--{name.replace('_', '-')}"
        raise InputError(f"{option}: found it with --cluster, expected one stream, which one engine reads in order")
    if options.out is None:
        raise InputError("--cluster: found no --out, expected the folder that gets the results")
    device = "cpu" if options.device == "auto" else options.device
    if device not in DEVICES:  # Ray chooses each engine's GPU
        raise InputError(f"--device: found {device!r} with --cluster, expected one of auto, {', '.join(DEVICES)}")
    if (fixed := options.precision) in ("auto", FASTEST):  # which may mean something else on each machine
        raise InputError(f"--precision: found {fixed} with --cluster, expected the same one for all of its machines")
    resolve_precision(fixed, torch.device(device), ENGINE_PRECISIONS)
    check_answers(options.cluster)
    from fastbert_core.backlog import predict_backlog

    return predict_backlog(
        *(model_source(options.model), options.texts, options.out, wanted, read, options.cluster),
        workers=options.workers,
        cpus=options.cpus or 1,
        device=device,
        precision=options.precision,
        batch_size=options.batch_size,
        probabilities=options.probabilities,
    )


def _wanted(options: argparse.Namespace) -> dict[str, float]:
    names = "speed", "speedup", "max_disagreement", "budget", "layers_per_second"
    given = {name: getattr(options, name, None) for name in names}
    return {name: value for name, value in given.items() if value is not None} or {"max_disagreement": 0.01}


def _warn_of_none(engine: "Engine", wanted: dict[str, float]) -> None:
    """Tell where a tolerated disagreement is asked for, and too few calibration rows certify any threshold."""
    if "max_disagreement" in wanted and not engine.points.threshold(**wanted):
        told = f"{engine.points.rows} calibration rows certify no max_disagreement of {wanted['max_disagreement']:g}"
        print(f"warning: {told}, so all layers run; try {show.first_option(engine.points)}", file=sys.stderr)


def serve(options: argparse.Namespace) -> None:
    """Answers over HTTP until SIGTERM."""
    try:
        from fastbert_core.serving import Limits, serve
    except ModuleNotFoundError as error:
        remedy = "pip install 'fastbert-core[serve]' brings it"
        raise InputError(f"serve: found no package {error.name}, expected it; {remedy}") from None
    engine, wanted = _engine(options, queue=options.queue), _wanted(options)
    _warn_of_none(engine, wanted)
    serve(engine, Limits(wanted, options.max_bytes, options.deadline), options.host, options.port)


def calibrate(options: argparse.Namespace) -> None:
    """Operating points by other texts, and the precision that is fastest here."""
    from fastbert_core.data import content_hash
    from fastbert_core.encoder_folder import load_tokenizer
    from fastbert_core.engine import Engine
    from fastbert_core.fastest import fastest_of, try_precisions
    from fastbert_core.files import write_whole
    from fastbert_core.known_precision import keep_precision
    from fastbert_core.model_card import model_card
    from fastbert_core.operating_points import save_points

    folder = Path(options.model)
    record = show.read_record(folder)  # which refuses a damaged one before the work; the card is made of it
    said = _said(options, options.texts, "calibration", labelled=False)
    if record and content_hash(record["classes"], said.split) == record["data_sha256"]:
        raise InputError(f"{options.texts}: found the rows that the model was trained on, expected others, new to it")
    tokenizer = load_tokenizer(folder)
    shapes = Engine(said.model, tokenizer).shapes() if options.seconds else None
    points = said.operating_points(folder, shapes)
    save_points(points, folder)
    tried = try_precisions(said.model, tokenizer, said.split.texts, said.split.pairs)
    best, times = fastest_of(tried), tried[0].texts_per_second
    keep_precision(folder, said.model.device, best.precision, [each._asdict() for each in tried])
    told = f"{best.texts_per_second / times:.2f} times fp32, with its label in {best.same:.1f}% of the texts"
    print(f"fastest precision on this machine: {best.precision}, {told}", file=sys.stderr)
    if record:  # the card of a model without one is its owner's
        write_whole(folder / "README.md", model_card(record, points))
    print(json.dumps(show.points_table(folder)) if options.json else show.shown(folder))


def evaluate(options: argparse.Namespace) -> None:
    """Accuracy and cost at every operating point, class by class; with --plot, a picture too."""
    if options.plot is not None:
        try:
            from fastbert_core.evaluation_plot import save_plot
        except ModuleNotFoundError as error:
            remedy = "pip install matplotlib brings it"
            raise InputError(f"--plot: found no package {error.name}, expected it; {remedy}") from None
    from fastbert_core.evaluation import beside
    from fastbert_core.loading import file_beside
    from fastbert_core.model_card import majority
    from fastbert_core.operating_points import FILE, load_points

    said = _said(options, options.data, "test", labelled=True)
    path = file_beside(options.model, FILE)
    tables = said.tables(path and load_points(path))
    if tables is None:
        raise InputError(f"{options.data}: found no labels, expected some to evaluate by")
    if options.rules:
        tables["rules"] = beside(said.labelled)
    if options.plot is not None:
        save_plot(said.labelled, tables, options.plot)
    if options.json:
        print(json.dumps(tables, ensure_ascii=False))
        return
    print(f"{tables['rows']} rows; {majority(tables)}")
    if tables["confidence"] is not None:
        print(f"the full model is {tables['confidence']:.2f}% sure on average")
    for name in ("points", "classes", "rules"):
        if tables.get(name):
            print(f"\n{show.table(tables[name])}")
    if path is None:
        print(f"\nno operating points; next: fastbert calibrate {options.model} --texts FILE")


def _engine(options: argparse.Namespace, **more: int) -> "Engine":
    """The engine of a model as the options have it; `more`: of the constructor's."""
    quiet()
    from fastbert_core.engine import Engine
    from fastbert_core.precision import resolve_device

    device = str(resolve_device(options.device))
    return Engine.from_pretrained(options.model, precision=options.precision, device=device, **more)


def _said(options: argparse.Namespace, data: str, progress: str, labelled: bool) -> "Said":
    """What a model's exits say of the rows of `data`, whose labels are the model's classes."""
    quiet()
    from fastbert_core import inputs, sources
    from fastbert_core.columns import check_pairs
    from fastbert_core.encoder_folder import load_tokenizer
    from fastbert_core.evaluation import said_of
    from fastbert_core.model import FastBertModel
    from fastbert_core.precision import resolve_device
    from fastbert_core.tasks import TASKS

    model = FastBertModel.from_pretrained(model_source(options.model)).to(resolve_device(options.device))
    if data in TASKS:
        loaded = sources.load_task(TASKS[data], lambda line: print(line, file=sys.stderr))
        split = inputs.rows_of_task(loaded, model.config.class_names, labelled, model.kind, model.config.scores)
    else:
        read = {name: getattr(options, name) for name in READ}
        of = {"kind": model.kind, "scores": model.config.scores}
        split = inputs.rows_for(data, model.config.class_names, labelled, **read, **of)
    check_pairs(split.pairs is not None, model.config.pair, data)
    return said_of(model, load_tokenizer(options.model), split, progress)


def show_model(options: argparse.Namespace) -> None:
    """What a model is, where it came from, what it can do."""
    if options.json:
        about = show.read_record(options.model) or show.described(options.model)
        print(json.dumps(about | {"operating_points": show.points_table(options.model)}))
        return
    print(show.shown(options.model))


def list_names(options: argparse.Namespace) -> None:
    """What there is by name."""
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
    rows = []
    for name, training in TRAININGS.items():
        stages = training(schedules)
        makes = "exits" if any(stage.exits == "all" for stage in stages) else "a shallow model"
        told = [f"{' and '.join(stage.trains)} on {stage.loss}" for stage in stages]
        rows.append({"training": name, "makes": makes, "stages": ", then ".join(told)})
    return rows


def _backbones() -> list[dict]:
    from fastbert_core.sources import BACKBONES

    return [{"backbone": name, "what": what} for name, what in BACKBONES.items()]


LISTS = {"tasks": _tasks, "rules": _rules, "trainings": _trainings, "backbones": _backbones}
