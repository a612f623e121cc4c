"""Blocks of the reference pages, made from the code that they are about: settings, options, public names."""

import argparse
import inspect
from importlib import import_module

import fastbert_core
from fastbert_core import cli
from fastbert_core.flops import BERT_BASE
from fastbert_core.registry import Registry
from fastbert_core.task_file import SETTINGS
from fastbert_core.tasks import Task
from reproductions.blocks import Tables, block, markdown
from reproductions.names import PROFILES
from reproductions.settings import OF_TASK_FILES, Settings, lookup

NARROW = BERT_BASE.hidden // 2  # units of an encoder that has settings of its own
KEY = ("profile", "task", "training", "precision")  # fields that other options decide, --precision among them
ABOUT = {
    "seed": "of the order of rows, of fresh classifiers, of dropout, and of which rows are taken",
    "max_tokens": "what texts are cut to",
    "batch_size": "texts a step",
    "fine_tuning_epochs": "of the first stage: backbone and teacher",
    "fine_tuning_rate": "its highest learning rate, after the warm-up",
    "classifier_rate": "the same of the classifiers; empty: the encoder's",
    "classifier_init": "how fresh classifiers begin: see below",
    "distillation_epochs": "of the students; with `until_flat` the least of them",
    "distillation_rate": "their highest learning rate",
    "until_flat": "whether students train on until their loss on held-out text stops falling",
    "warmup": "share of the steps in which the rate rises",
    "weight_decay": "of AdamW",
    "bias_correction": "of AdamW; without it short schedules run at several times the rate",
    "train_rows": "how many training rows to learn from",
    "selection_rows": "dev rows that choose the best epoch, at most half of dev",
    "calibration_rows": "dev rows that thresholds are chosen on, none of them among the others",
    "epoch_trace_rows": "of the selection rows, how many tell when the students are done, and draw figure 7",
}


@block
def settings(tables: Tables) -> str:
    """Every field of Settings, and what each profile has for an own task, by the encoder's width where that matters."""
    own, in_file = Task("own", "en", ("no", "yes")), {OF_TASK_FILES.get(name, name): name for name in SETTINGS}
    rows = []
    for name in Settings.__dataclass_fields__:
        if name not in KEY:
            row = {"setting": f"`{name}`", "in a task file": f"`{in_file[name]}`" if name in in_file else ""}
            rows.append(row | {profile: _value(profile, own, name) for profile in PROFILES} | {"what": ABOUT[name]})
    return markdown(rows)


def _value(profile: str, task: Task, name: str) -> str:
    wide, narrow = (lookup(profile, task, name, hidden) for hidden in (BERT_BASE.hidden, NARROW))
    texts = ["" if value is None else str(value).lower() for value in (wide, narrow)]
    return texts[0] if wide == narrow else f"{texts[0]}; narrow {texts[1]}"


@block
def train_options(tables: Tables) -> str:
    """The options of `fastbert train`, by which `train_classifier` takes them too."""
    parser = cli.parser()
    (commands,) = (action for action in parser._actions if isinstance(action, argparse._SubParsersAction))
    options = [action for action in commands.choices["train"]._actions if action.dest not in ("help", "json", "data")]
    return markdown(
        [
            {"option": f"`{each.option_strings[-1]}`", "in Python": f"`{each.dest}`", "what": each.help}
            for each in options
        ]
    )


@block
def public_names(tables: Tables) -> str:
    """What `fastbert_core` offers by name, each with the first line that its code says of it."""
    return markdown([{"name": f"`{name}`", "what": _first_line(name)} for name in sorted(fastbert_core.__all__)])


@block
def engine_methods(tables: Tables) -> str:
    """The engine's methods and what they take."""
    rows = []
    for name, found in vars(fastbert_core.Engine).items():
        if not name.startswith("_"):
            call, shown = getattr(fastbert_core.Engine, name), name
            if callable(call):
                shown += f"({', '.join(each for each in inspect.signature(call).parameters if each != 'self')})"
            rows.append({"": f"`{shown}`", "what": inspect.getdoc(found).splitlines()[0]})
    return markdown(rows)


def _first_line(name: str) -> str:
    found = getattr(fastbert_core, name)
    if isinstance(found, Registry | dict):
        found = import_module(f"fastbert_core.{fastbert_core._PUBLIC[name]}")
    return inspect.getdoc(found).splitlines()[0]
