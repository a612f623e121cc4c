"""The settings of a run: settings.toml read by profile, language and task, and the identity that follows from them."""

import hashlib
import json
import tomllib
from dataclasses import asdict, dataclass, replace
from functools import cache
from importlib import resources

from fastbert_core.errors import InputError
from fastbert_core.flops import BERT_BASE
from fastbert_core.tasks import TASKS, Task
from fastbert_core.trainings import TRAININGS, Schedule, Schedules
from reproductions.profiles import PROFILES

TRAINING_OF_VARIANT = {
    "default": "self-distillation",
    "reverse-kl": "reverse-kl",
    "labels": "labels",
    "authors": "self-distillation",
    "two-stage": "two-stage",
    "joint": "joint",
    "joint-linear": "joint-linear",
    "alternating": "alternating",
    "joint-self-distillation": "joint-self-distillation",
    "gradient-equilibrium": "gradient-equilibrium",
    "mixed": "mixed",
    "sweet": "sweet",
}


@dataclass(frozen=True)
class Settings:
    """Everything that decides what a run learns, but for its data and backbone, which count by their hashes.

    `train_rows` is a number or "all"; `precision` is that of training, resolved: fp32 or bf16.
    """

    profile: str
    task: str
    model: str
    variant: str
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
    def training(self) -> str:
        """The name of its training."""
        return "distilbert" if self.model == "distilbert" else TRAINING_OF_VARIANT[self.variant]

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
        columns = ("profile", "task", "model", "variant", "seed", "precision", "train_rows")
        return {name: value for name, value in asdict(self).items() if name not in columns}

    def run_id(self, data_sha256: str, backbone_sha256: str) -> str:
        """Identity of the run: equal for equal settings, data and backbone, and for nothing else."""
        return _identity(asdict(self), data_sha256, backbone_sha256)

    def fine_tuning_id(self, data_sha256: str, backbone_sha256: str) -> str:
        """Identity of the first stage, which runs that differ in the second alone have in common."""
        shared = self.model == "distilbert" or TRAININGS[self.training](self.schedules)[0].name == "fine-tuning"
        plain = replace(self, model="", variant="" if shared else self.variant)
        later = ("distillation_epochs", "distillation_rate", "until_flat", "calibration_rows", "epoch_trace_rows")
        values = {name: value for name, value in asdict(plain).items() if name not in later}
        return _identity(values, data_sha256, backbone_sha256)


def _identity(values: dict, data_sha256: str, backbone_sha256: str) -> str:
    text = json.dumps([values, data_sha256, backbone_sha256], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


@cache
def _file() -> dict:
    return tomllib.loads(resources.files("reproductions").joinpath("settings.toml").read_text(encoding="utf-8"))


def lookup(profile: str, task: Task, name: str, hidden: int = BERT_BASE.hidden) -> object:
    """The value of `name` for a task and an encoder of `hidden` units in a profile, or None.

    Raises InputError for an unknown profile.
    """
    if profile not in PROFILES:
        raise InputError(f"profile: found {profile!r}, expected one of {', '.join(PROFILES)}")
    own = _file().get(profile, {})
    narrow = own.get("narrow", {}) if hidden < BERT_BASE.hidden else {}
    for table in (narrow, own.get("tasks", {}).get(task.name, {}), own.get(task.language, {}), own, _file()["common"]):
        if name in table:
            return table[name]
    return None


def settings_for(
    profile: str,
    task: Task,
    model: str,
    variant: str,
    precision: str,
    hidden: int = BERT_BASE.hidden,
    **given: object,
) -> Settings:
    """The settings of one run of an encoder of `hidden` units.

    `given` holds what the command line says (seed, train_rows), None where it does not.
    """
    fixed = {"profile": profile, "task": task.name, "model": model, "variant": variant, "precision": precision}
    names = [name for name in Settings.__dataclass_fields__ if name not in fixed]
    said = _file()["variants"].get(variant, {})
    said = said | {name: value for name, value in given.items() if value is not None}
    values = {name: said.get(name, lookup(profile, task, name, hidden)) for name in names}
    if values["classifier_rate"] is None:  # the encoder's
        values["classifier_rate"] = values["fine_tuning_rate"]
    return Settings(**fixed, **values)


def most_rows(profile: str, task: Task, available: int) -> int | None:
    """How many of the `available` training rows a profile takes at most, None where it sets no limit or it is not met.

    Of one task, a folder has thousands of rows and the hub half a million.
    """
    most = lookup(profile, task, "train_rows_at_most")
    return None if most is None or available <= most else most


def planned_runs(profile: str, task: Task) -> list[tuple[str, str]]:
    """(model, variant) of each run that a task wants in a profile, in order: of the user's own, FastBERT alone."""
    runs = lookup(profile, task, "runs") if task.name in TASKS else _file()["common"]["runs"]
    return [tuple(run.split("-", 1)) for run in runs]


def distilbert_layers(variant: str) -> int:
    """Depth of the DistilBERT that a variant, such as `6-layers`, names."""
    return int(variant.removesuffix("-layers"))
