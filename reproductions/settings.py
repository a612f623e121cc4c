"""The settings of a run: settings.toml read by profile, language and task, and the identity that follows from them."""

import hashlib
import json
import re
import tomllib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cache
from importlib import resources

from fastbert_core.flops import BERT_BASE
from fastbert_core.registry import look_up
from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tasks import TASKS, Task
from fastbert_core.trainings import TRAININGS, Schedule, Schedules, Stage
from reproductions.names import SELF_DISTILLATION

# By its name in a task file the field below; the others have the same name.
OF_TASK_FILES = {
    "epochs": "fine_tuning_epochs",
    "rate": "fine_tuning_rate",
    "student_epochs": "distillation_epochs",
    "student_rate": "distillation_rate",
}
BY_TYPE = "by-type"  # a `classifier_init`: that of the task's type
SHALLOW = re.compile(r"[a-z-]+-(\d+)")


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run learns, but for its data and backbone, which count by their hashes.

    `training` is what files and tables call it: one of TRAININGS, with the layers of a shallow one behind it
    (distilbert-6), or of [trainings] in settings.toml. `train_rows` is a number or "all"; `precision` is that of
    training, resolved: fp32 or bf16.
    """

    profile: str
    task: str
    training: str
    seed: int
    precision: str
    max_tokens: int
    batch_size: int
    fine_tuning_epochs: int
    fine_tuning_rate: float
    classifier_rate: float
    classifier_init: str
    distillation_epochs: int
    distillation_rate: float
    until_flat: bool
    warmup: float
    weight_decay: float
    bias_correction: bool
    train_rows: int | str
    selection_rows: int
    calibration_rows: int
    epoch_trace_rows: int

    @property
    def layers(self) -> int | None:
        """How many layers a shallow training leaves of the encoder; None for a deep one."""
        return shallow_layers(self.training)

    @property
    def first(self) -> Stage:
        """The first stage of all: of a shallow training, that of its deep teacher."""
        return self._stages(SELF_DISTILLATION if self.layers else self.training)[0]

    @property
    def later(self) -> tuple[Stage, ...]:
        """The stages after the first; of a shallow training, its own."""
        return self._stages(self.training.rpartition("-")[0]) if self.layers else self._stages(self.training)[1:]

    def _stages(self, training: str) -> tuple[Stage, ...]:
        return TRAININGS[_file()["trainings"].get(training, {}).get("is", training)](self.schedules)

    @property
    def schedules(self) -> Schedules:
        """How long and how fast its stages are trained."""
        shared = {name: getattr(self, name) for name in ("batch_size", "warmup", "weight_decay", "bias_correction")}
        return Schedules(
            Schedule(self.fine_tuning_epochs, self.fine_tuning_rate, self.classifier_rate, **shared),
            Schedule(self.distillation_epochs, self.distillation_rate, until_flat=self.until_flat, **shared),
        )

    @property
    def hyperparameters(self) -> dict:
        """The settings that runs.csv has no column of its own for."""
        columns = ("profile", "task", "training", "seed", "precision", "train_rows")
        return {name: value for name, value in asdict(self).items() if name not in columns}

    def run_id(self, data_sha256: str, backbone_sha256: str) -> str:
        """Identity of the run: equal for equal settings, data and backbone, and for nothing else."""
        return _identity(asdict(self), data_sha256, backbone_sha256)

    def first_id(self, data_sha256: str, backbone_sha256: str) -> str:
        """Identity of the first stage, which runs that differ in later ones alone have in common."""
        shared = ("profile", "task", "seed", "precision", "max_tokens", "classifier_init", "train_rows")
        values = {name: getattr(self, name) for name in (*shared, "selection_rows", "epoch_trace_rows")}
        return _identity(values | asdict(self.first), data_sha256, backbone_sha256)


def _identity(values: dict, data_sha256: str, backbone_sha256: str) -> str:
    text = json.dumps([values, data_sha256, backbone_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _file() -> dict:
    return tomllib.loads(resources.files("reproductions").joinpath("settings.toml").read_text(encoding="utf-8"))


def lookup(profile: str, task: Task, name: str, hidden: int = BERT_BASE.hidden) -> object:
    """The value of `name` for a task and an encoder of `hidden` units in a profile, or None."""
    own = _file()[profile]
    of_task = own.get("tasks", {}).get(task.name, {})
    narrow = (of_task.get("narrow", {}), own.get("narrow", {})) if hidden < BERT_BASE.hidden else ()
    for table in (*narrow, of_task, own.get(task.language, {}), own, _file()["common"]):
        if name in table:
            return table[name]
    return None


def settings_for(
    profile: str,
    task: Task,
    training: str,
    precision: str,
    hidden: int = BERT_BASE.hidden,
    **given: object,
) -> Settings:
    """The settings of one run of an encoder of `hidden` units.

    `given` holds what the command line says (seed, train_rows), None where it does not.
    """
    fixed = {"profile": profile, "task": task.name, "training": training, "precision": precision}
    names = [name for name in Settings.__dataclass_fields__ if name not in fixed]
    said = _file()["trainings"].get(training, {}) | {name: value for name, value in given.items() if value is not None}
    values = {name: said.get(name, lookup(profile, task, name, hidden)) for name in names}
    if values["classifier_init"] == BY_TYPE:
        values["classifier_init"] = TASK_TYPES[task.type].classifier_init
    if values["classifier_rate"] is None:  # the encoder's
        values["classifier_rate"] = values["fine_tuning_rate"]
    return Settings(**fixed, **values)


def of_task_file(said: dict[str, int | float]) -> dict[str, object]:
    """What a task file says of its training, as fields of Settings: with `student_epochs`, so many and no more."""
    found = {OF_TASK_FILES.get(name, name): value for name, value in said.items()}
    return found | ({"until_flat": False} if "student_epochs" in said else {})


def most_rows(profile: str, task: Task, available: int) -> int | None:
    """How many of the `available` training rows a profile takes at most, None where it sets no limit or it is not met.

    Of one task, a folder has thousands of rows and the hub half a million.
    """
    most = lookup(profile, task, "train_rows_at_most")
    return None if most is None or available <= most else most


def stand_in(profile: str, task: Task) -> Task:
    """The task whose real text takes the place of `task`'s in a profile that has none of it; else `task` itself."""
    name = _file()[profile].get("stand_ins", {}).get(task.name)
    return task if name is None else TASKS[name]


def own_backbones(profile: str, task: str) -> tuple[object, ...]:
    """The names of a profile's own encoder for one of the suite's tasks, of its folder and of the hub's; else none."""
    return tuple(lookup(profile, TASKS[task], name) for name in ("backbone", "hub")) if task in TASKS else ()


def planned_trainings(profile: str, task: Task) -> list[str]:
    """The training of each run that a task wants in a profile, in order.

    Of a user's own task, and of those beside the paper's, FastBERT's alone.
    """
    return lookup(profile, task, "runs") if task.name in TASKS and not task.group else _file()["common"]["runs"]


def check_trainings(names: Sequence[str] | None) -> list[str]:
    """The trainings named, each once. Raises InputError, which suggests the nearest, for a name that none has."""
    for name in names or ():
        known = [*_file()["trainings"]]
        for of, training in TRAININGS.items():
            stages = training(Schedules(Schedule(1, 1.0), Schedule(1, 1.0)))
            if stages[0].loss != "imitation":  # which is of a classifier that is there already
                known.append(f"{of}-{shallow_layers(name) or 6}" if stages[-1].exits == "last" else of)
        look_up("--training", name, dict.fromkeys(known))
    return list(dict.fromkeys(names or ()))


def shallow_layers(training: str) -> int | None:
    """The layers of a shallow training's model, such as 6 of `distilbert-6`; None of a deep one."""
    match = SHALLOW.fullmatch(training)
    return int(match[1]) if match else None
