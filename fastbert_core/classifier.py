"""From any labelled text to a model folder that predicts: read, train, calibrate, test, write."""

import contextlib
import dataclasses
import hashlib
import json
import os
import shutil
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any

import numpy as np
import torch
from filelock import FileLock, Timeout
from tqdm import tqdm

from fastbert_core import inputs, soft_labels
from fastbert_core.data import take_rows
from fastbert_core.division import Data, join
from fastbert_core.encoder_folder import check_encoder, load_tokenizer
from fastbert_core.errors import InputError
from fastbert_core.evaluation import said_of
from fastbert_core.files import PARTIAL, atomic_files, expanded, remove_partial, write_whole
from fastbert_core.losses import WITHOUT_LABELS
from fastbert_core.model import FastBertModel
from fastbert_core.model_card import model_card
from fastbert_core.operating_points import save_points
from fastbert_core.options import IMITATION, Options
from fastbert_core.precision import resolve_device, resolve_precision
from fastbert_core.processes import Alone, processes
from fastbert_core.sources import find_encoder, load_task
from fastbert_core.task_types import SINGLE, TASK_TYPES
from fastbert_core.tasks import TASKS
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.tsv import Split

Log = Callable[[str], None]
RECORD, CARD = "training.json", "README.md"
STRANGE = 0.1  # share of unknown tokens from which an encoder does not know the language


def train_classifier(
    data: Any,
    out: str | Path,
    *,
    dev: Any = None,
    test: Any = None,
    text: str | None = None,
    pair: str | None = None,
    label: str | None = None,
    encoding: str | None = None,
    type: str | None = None,
    scores: tuple[float, float] | None = None,
    replace: bool = False,
    log: Log = lambda line: tqdm.write(line, file=sys.stderr),
    **options: Any,
) -> dict:
    """Train an early-exit classifier on `data`, calibrate it, and write it to the folder `out`, whole or not at all.

    data, dev, test: what `inputs.prepare` reads, or the name of one of the suite's tasks for `data`
    text, pair, label, encoding: of the data, where they are not the usual ones
    type: one of task_types.TASK_TYPES, where a text does not have one label (of a task by name it is the task's)
    scores: the least and the largest of a regression, where they are not those of the training rows
    replace: whether a model in `out` may go; options: fields of Options

    Returns what is written to training.json, with `folder`, and with `test`, tables of rows on which nothing was
    chosen, where there are any; of several processes that train together only the main one, the others nothing.
    Checkpoints lie in a hidden folder beside `out` until it is done: the same call goes on from them. Raises InputError
    for bad input, before anything is trained; RunError as `train` does.
    """
    out, begun = Path(out), time.monotonic()
    _check_place(out, replace)
    chosen = Options(**options)
    read = {"text": text, "pair": pair, "label": label, "encoding": encoding, "scores": scores}
    read |= {} if type is None else {"type": type}
    together = processes(resolve_device(chosen.device).type)
    log = log if together.main else lambda line: None
    work = out.absolute().parent / f".{out.name}.training"
    with tempfile.TemporaryDirectory() as scratch:
        with together.main_first():  # which may fetch data and encoder
            loaded = _load(data, dev, test, chosen, read, log)
            job = _Job(loaded, chosen, work, Path(scratch), log, together)  # refuses before anything is written
        with _alone(work) if together.main else contextlib.nullcontext():
            if together.main:
                remove_partial(work)
            together.check_shared(work)
            model = job.train()
            if not together.main:
                return {}
            folder = work / f"model{PARTIAL}"
            record = job.write(model, folder, time.monotonic() - begun)
            if out.exists():
                shutil.rmtree(out)
            os.replace(folder, out)
            shutil.rmtree(work)
            return record | {"folder": str(out)}


def _check_place(out: Path, replace: bool) -> None:
    if out.is_symlink() or out.resolve() == Path.cwd():
        what = "a symbolic link" if out.is_symlink() else "the current folder"
        raise InputError(f"{out}: found {what}, expected a folder that can be put in place when all is done")
    if not out.exists():
        return
    if not out.is_dir() or (any(out.iterdir()) and not (out / RECORD).is_file()):
        model = (out / "config.json").is_file()
        what = f"a model without {RECORD}, not made by `train`" if model else "something that is no model of ours"
        raise InputError(f"{out}: found {what}, expected a new folder")
    if any(out.iterdir()) and not replace:
        raise InputError(f"{out}: found a trained model, expected a new folder; --replace lets it go")


@contextlib.contextmanager
def _alone(work: Path) -> Iterator[None]:
    """Be the only process that trains in the folder `work`, which is made."""
    work.mkdir(parents=True, exist_ok=True)
    try:
        with FileLock(work / ".lock", timeout=0):
            yield
    except Timeout:
        raise InputError(f"{work}: found another process training there, expected none") from None


def _load(data: Any, dev: Any, test: Any, options: Options, read: dict, log: Log) -> Data:
    """The rows, by name or as they are; with a classifier, its classes."""
    if isinstance(data, str) and data in TASKS:
        if options.classifier is not None:
            raise InputError(
                f"{data}: found a task with a classifier, expected a file of texts like those it was trained on"
            )
        given = [name for name, value in ({"dev": dev, "test": test} | read).items() if value is not None]
        if given and (given != ["type"] or read["type"] != TASKS[data].type):
            raise InputError(f"{given[0]}: found it with the task {data}, expected none: a task has its own")
        return inputs.of_task(load_task(TASKS[data], log))
    if options.classifier is None:
        return inputs.prepare(data, dev, test, **read)
    if read.get("type", SINGLE.name) != SINGLE.name:
        raise InputError(
            f"type: found {read['type']!r} with a classifier, expected none: it names one class for a text"
        )
    classes = soft_labels.classes_of_classifier(expanded(options.classifier))
    return inputs.prepare(data, dev, test, **read, classes=classes)


class _Job:
    """One training: the stages, then what the model folder holds. Each step is told with its number."""

    def __init__(self, data: Data, options: Options, work: Path, scratch: Path, log: Log, processes: Alone) -> None:
        self.data, self.options, self.log, self.processes = data, options, log, processes
        self.device = resolve_device(options.device)
        if self.device.index is not None:
            torch.cuda.set_device(self.device)  # whose random numbers a checkpoint keeps
        self.precision = resolve_precision(options.precision, self.device)
        self.backbone = find_encoder(options.classifier or options.backbone, data.train.texts, scratch, log)
        self.shape = check_encoder(self.backbone.source, data.pair)
        self.max_tokens = options.max_tokens or min(128, self.shape.max_tokens)
        if self.max_tokens > (most := self.shape.max_tokens):
            found = f"max_tokens: found {self.max_tokens}"
            raise InputError(f"{found}, expected {most} at most, which {self.backbone.name} is made for")
        self.kind = TASK_TYPES[data.type]
        known = self.kind.known(data.train.labels)
        self.learns = data.train.take(np.flatnonzero(known))
        if options.train_rows is not None:
            self.learns = take_rows(self.learns, options.train_rows, options.seed)
        self.unlabelled = data.train.take(np.flatnonzero(~known))
        self.everything = join(self.learns, self.unlabelled)
        self.stages = options.stages(self.shape.hidden, len(self.everything if options.classifier else self.learns))
        self.work = work / self._identity()
        self.notes: dict[str, dict] = {}
        self._steps, self._step = len(self.stages) + 3, 0
        self.tokenizer = load_tokenizer(self.backbone.source)

    def _identity(self) -> str:
        """Of what is learnt from what and how, by which a later call knows checkpoints that it can go on from."""
        learnt = [dataclasses.asdict(self.options), self.precision, self.max_tokens]
        text = json.dumps([learnt, self.data.sha256, self.backbone.sha256], sort_keys=True)
        return hashlib.sha256(text.encode()).hexdigest()[:16]

    def _told(self, line: str) -> None:
        self._step += 1
        self.log(f"{self._step}/{self._steps} {line}")

    def _detail(self, line: str) -> None:
        self.log(f"    {line}")

    def train(self) -> FastBertModel:
        """The trained model."""
        data, options = self.data, self.options
        rows = f"{len(self.learns)} labelled and {len(self.unlabelled)} unlabelled rows to learn from"
        held = f"{len(data.selection)} choose the epoch, {len(data.calibration)} the thresholds"
        test = "no test rows" if data.test is None else f"{len(data.test)} test rows"
        self._told(f"data: {data.name}: {rows}, {held}, {test}; {len(data.classes)} classes")
        for line in data.said:
            self._detail(line)
        everything, learns, selection = map(self._samples, (self.everything, self.learns, data.selection))
        self._check_language(everything)
        torch.manual_seed(options.seed)  # for the weights of the fresh classifiers
        of = {"classifier_init": self.kind.classifier_init, "labels": learns.labels}
        of |= {"task_type": data.type, "scores": data.scores}
        model = FastBertModel.from_backbone(self.backbone.source, data.classes, data.pair, **of).to(self.device)
        model.config.max_tokens = self.max_tokens
        if options.classifier is not None:
            everything, selection = self._imitated(everything), self._imitated(selection)
        shared = {"seed": options.seed, "processes": self.processes}
        place = Workplace(self.work, self.tokenizer.pad_token_id, self.precision, self._detail, **shared)
        for stage in self.stages:
            parts = "all exits" if stage.exits == "all" and not stage.frozen else " and ".join(stage.trains)
            self._told(f"{stage.name}: {parts}, on {self.backbone.name} of {model.layers} layers, {self.device.type}")
            samples = everything if stage.loss in WITHOUT_LABELS else learns
            self.notes[stage.name] = notes = train(model, stage, samples, selection, place)
            if stage.name == IMITATION:  # whose labels are the classifier's answers
                share = 100 * notes["dev_accuracy"][-1]
                self._detail(f"the last exit gives the classifier's answer for {share:.2f}% of the held-out rows")
        return model

    def _samples(self, split: Split) -> Samples:
        return Samples.of(self.kind, self.tokenizer, split, self.max_tokens)

    def _imitated(self, samples: Samples) -> Samples:
        """The samples with what the classifier says of them, which counts as their label too."""
        classifier = soft_labels.load_classifier(self.backbone.source, self.device)
        soft = soft_labels.soft_labels(classifier, samples.encoded, self.tokenizer.pad_token_id)
        return Samples(samples.encoded, soft.argmax(axis=1), soft)

    def _check_language(self, samples: Samples) -> None:
        unknown = self.tokenizer.unk_token_id
        share = 0.0 if unknown is None else float((samples.encoded.ids == unknown).mean())
        if share > STRANGE:
            told = f"{100 * share:.0f}% of the tokens are unknown to {self.backbone.name}"
            self._detail(f"warning: {told}; --backbone names an encoder of this language")

    def write(self, model: FastBertModel, folder: Path, seconds: float) -> dict:
        """Calibrate, test, and write the model folder: weights, tokenizer, operating points, record and card."""
        data = self.data
        with atomic_files(folder) as temporary:
            model.save_pretrained(temporary)
            self.tokenizer.save_pretrained(temporary)
        self._told(f"operating points, on {len(data.calibration)} rows")
        said = said_of(model, self.tokenizer, data.calibration, "operating points")
        points = said.operating_points(folder)
        save_points(points, folder)
        tested = None
        if data.test is not None:
            tested = said_of(model, self.tokenizer, data.test, "test").tables(points)
        held = tested or said.tables(points)
        record = self._record(seconds) | {"test": tested}
        write_whole(folder / RECORD, json.dumps(record, indent=1, ensure_ascii=False) + "\n")
        write_whole(folder / CARD, model_card(record, points, tested))
        self._told("written")
        if held is not None:
            self._warn_of(held, "test" if tested else "calibration")
        return record

    def _warn_of(self, held: dict, rows: str) -> None:
        """What a person should look at first where accuracy is bad."""
        never = [row["class"] for row in held["classes"] if row["rows"] and not row["predicted"]]
        if never:
            self._detail(f"warning: never predicted on the {rows} rows: {', '.join(never[:10])}; try more --epochs")
        if held["points"][0]["accuracy"] <= held["majority"]:
            common = "the commonest class" if self.kind is SINGLE else "one answer for all"
            told = f"no better than {common} ({held['majority']:.1f}%)"
            self._detail(f"warning: on the {rows} rows it is {told}; try more --epochs or another --rate")

    def _record(self, seconds: float) -> dict:
        data, options = self.data, dataclasses.asdict(self.options)
        named = options.pop("classifier") is not None
        del options["backbone"]  # a path, perhaps, of this machine
        return {
            "name": Path(data.name).name if Path(data.name).exists() else data.name,
            "data_sha256": data.sha256,
            "classes": list(data.classes),
            "pair": data.pair,
            **({} if self.kind is SINGLE else {"type": data.type}),
            "rows": {
                "train": len(self.everything),
                "unlabelled": len(self.unlabelled),
                "selection": len(data.selection),
                "calibration": len(data.calibration),
                "test": 0 if data.test is None else len(data.test),
            },
            "backbone": self.backbone.name,
            "backbone_sha256": self.backbone.sha256,
            "layers": self.shape.layers,
            "max_tokens": self.max_tokens,
            "training": IMITATION if named else self.options.training,
            "precision": self.precision,
            "options": options,
            "stages": self.notes,
            "seconds": round(seconds, 1),
            "versions": {name: _version(name) for name in ("fastbert-core", "torch", "transformers")},
        }


def _version(name: str) -> str:
    try:
        return version(name)
    except PackageNotFoundError:  # run from a checkout
        return "unknown"
