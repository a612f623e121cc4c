"""What is measured: the models that the results name where they are at hand, else the smoke model."""

import csv
import os
import statistics
import tempfile
import timeit
from dataclasses import dataclass
from functools import cache, cached_property
from pathlib import Path

import numpy as np
import torch

from fastbert_core import encoder_folder, generated
from fastbert_core.encoder_folder import load_tokenizer
from fastbert_core.encoding import Encoded, encode
from fastbert_core.errors import InputError
from fastbert_core.exit_rules import at_exit, exit_layers
from fastbert_core.files import within
from fastbert_core.flops import EncoderShape, paper_flops
from fastbert_core.metrics import threshold_for_flops
from fastbert_core.model import FastBertModel
from fastbert_core.tasks import get_task
from fastbert_core.trace import Trace, load_trace
from fastbert_core.tracing import probabilities
from fastbert_core.tsv import Split
from reproductions.names import SELF_DISTILLATION
from reproductions.settings import own_backbones
from reproductions.sources import Named, load_data, runs_folder
from reproductions.table2 import chosen_speed

ROOT = Path(__file__).parent.parent
PLACES = (ROOT / "runs", ROOT / "results")  # of the user's own results, and of the committed ones
# Measured unless others are asked for, of each row the first that is at hand: the 12x768 encoder, and the 12x384 one.
TASKS = (("book-review", "thucnews", "lcqmc"), ("dbpedia", "yelp-polarity", "ag-news", "yahoo"))
PACKAGED = ("reuters-r8", "rotten-tomatoes")  # the first at hand where none of those is
SMOKE = "smoke"
SEED = 7


@dataclass(frozen=True, eq=False)
class Subject:
    """A trained model, texts of its task's test set, and the trace of just these texts."""

    name: str
    model: FastBertModel
    tokenizer: object
    split: Split
    trace: Trace

    @cached_property
    def encoded(self) -> Encoded:
        """The texts as token ids."""
        return encode(self.tokenizer, self.split.texts, self.split.pairs, self.max_tokens)

    @property
    def max_tokens(self) -> int:
        """Of the longest text, as its run cut it."""
        return int(self.trace.tokens.max())

    @property
    def shape(self) -> EncoderShape:
        """The model's dimensions."""
        return EncoderShape.from_config(self.model.config)

    @property
    def is_smoke(self) -> bool:
        """Whether it is the smoke model, whose figures say nothing of FastBERT."""
        return self.name == SMOKE

    @cached_property
    def dev(self) -> Trace:
        """Its dev trace; the smoke model has no dev rows, its test texts stand for them."""
        return self.trace if self.is_smoke else trace_of(available()[self.name], "dev")

    @property
    def chosen_speed(self) -> float:
        """The speed that table 2 chooses on dev."""
        return chosen_speed([self.dev])

    def speed(self, reduction: float) -> float:
        """The speed, to four digits, at which `reduction` times fewer layers are executed; one layer always is."""
        layers = max(self.shape.layers / reduction, 1)
        return round(threshold_for_flops(self.trace, layers * paper_flops(self.shape, 1)), 4)

    def trace_exits(self, speed: float) -> np.ndarray:
        """Where the trace says that the texts leave, int64 [texts]."""
        return exit_layers(self.trace.uncertainties, speed)

    def trace_labels(self, speed: float) -> np.ndarray:
        """The labels that they leave with, int64 [texts]."""
        return at_exit(self.trace.predictions, self.trace_exits(speed))

    @cache  # noqa: B019 - subjects live as long as the session
    def tokenisation_seconds(self, alone: bool) -> float:
        """Median seconds of three tokenisations of the texts, together or one by one."""
        parts = map(self.split.take, np.arange(len(self.split))[:, None]) if alone else [self.split]
        parts = [(part.texts, part.pairs) for part in parts]

        def tokenise() -> None:
            for part in parts:
                encode(self.tokenizer, *part, self.max_tokens)

        return statistics.median(timeit.repeat(tokenise, number=1, repeat=3))

    def take(self, rows: np.ndarray) -> "Subject":
        """The same with the texts `rows` (int64) alone."""
        trace = self.trace
        kept = Trace(trace.probabilities[rows], trace.labels[rows], trace.tokens[rows], trace.metadata)
        return Subject(self.name, self.model, self.tokenizer, self.split.take(rows), kept)


def available(training: str = SELF_DISTILLATION) -> dict[str, Path]:
    """The trained models at hand: name -> folder, for those that a runs.csv names and `runs_folder()` holds.

    Named after its task, or TASK/ENCODER where the encoder is not its profile's own. A committed run goes before the
    user's own, and of several seeds the lowest at hand. Those of `standard` only with FASTBERT_DATA, which names their
    texts.
    """
    rows, profiles = [], ("standard", "packaged") if os.environ.get("FASTBERT_DATA") else ("packaged",)
    for table in (place / profile / "runs.csv" for place in PLACES for profile in profiles):
        if table.is_file():
            with open(table, encoding="utf-8", newline="") as file:
                own = [row for row in csv.DictReader(file) if row.get("training") == training]
                rows += sorted(own, key=lambda row: -int(row["seed"]))
    found = [(_name(row), within(runs_folder(), row["run_id"], "model")) for row in rows]
    return {name: folder for name, folder in found if folder.is_dir()}


def _name(row: dict[str, str]) -> str:
    own = row["backbone"] in own_backbones(row["profile"], row["task"])
    return row["task"] if own else f"{row['task']}/{row['backbone']}"


def usual() -> list[str]:
    """The tasks that are measured unless others are asked for; the smoke model's where no trained one is at hand."""
    trained = available()
    first = [next((task for task in tasks if task in trained), None) for tasks in (*TASKS, PACKAGED)]
    return [task for task in first[:-1] if task] or [first[-1] or SMOKE]


def asked(names: list[str]) -> list[str]:
    """The names, each one of `available()`; or SMOKE alone, and then a line says what that means.

    Raises InputError for a name without a trained model.
    """
    if names == [SMOKE]:
        print("THE SMOKE MODEL, which says nothing of FastBERT; trained ones are in FASTBERT_RUNS, with FASTBERT_DATA")
        return names
    trained = available()
    if missing := ", ".join(name for name in names if name not in trained):
        raise InputError(f"found no trained model of {missing}, expected one of {', '.join(trained) or 'none'}")
    return names


def load(name: str) -> Subject:
    """The subject of that name: a model of `available()` with all its task's test texts, or SMOKE."""
    if name == SMOKE:
        return _smoke()
    folder, task = available()[name], name.split("/")[0]
    model, tokenizer = FastBertModel.from_pretrained(folder).eval(), load_tokenizer(folder)
    data = load_data("standard", get_task(task), Named.from_user(None, None, None), lambda line: None)
    return Subject(name, model, tokenizer, data.test, trace_of(folder, "test"))


def sample(subject: Subject, rows: int) -> Subject:
    """A seeded sample of at most `rows` of the subject's texts, in the file's order."""
    return subject if rows >= len(subject.split) else subject.take(sampled(len(subject.split), rows))


def sampled(texts: int, rows: int) -> np.ndarray:
    """The seeded sample of `rows` of so many texts, int64, ascending."""
    return np.sort(np.random.default_rng(SEED).permutation(texts)[:rows])


def trace_of(folder: Path, split: str) -> Trace:
    """The trace of the model in `folder`: its own, since the same run on another machine differs in its last bits."""
    return load_trace(folder.parent / f"{split}.npz")


def _smoke() -> Subject:
    """A tiny random model on generated text: it shows that the suites run, and nothing of FastBERT's speed."""
    data = generated.generate(get_task("ag-news"), {"train": 40, "dev": 20, "test": 60})
    with tempfile.TemporaryDirectory() as folder:
        backbone = encoder_folder.tiny(Path(folder), data.train.texts)
        torch.manual_seed(SEED)
        model, tokenizer = FastBertModel.from_backbone(backbone.source, data.task.classes), load_tokenizer(folder)
    encoded = encode(tokenizer, data.test.texts, None, 128)
    metadata = {"layers": list(range(1, model.layers + 1)), "encoder": EncoderShape.from_config(model.config).described}
    p = probabilities(model, encoded, tokenizer.pad_token_id)
    trace = Trace(p, data.test.labels, encoded.lengths, metadata)
    return Subject(SMOKE, model.eval(), tokenizer, data.test, trace)
