"""Where a task's data and encoder come from, and when `standard` turns into `offline`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import platformdirs

from fastbert_core import backbones, generated, hub
from fastbert_core.backbones import Backbone
from fastbert_core.data import TaskData, load_folder
from fastbert_core.errors import InputError
from fastbert_core.tasks import Task
from reproductions.settings import lookup

DATA, MODELS, RUNS = "FASTBERT_DATA", "FASTBERT_MODELS", "FASTBERT_RUNS"


@dataclass(frozen=True)
class Named:
    """The sources that the user named, by option or variable; None where neither did.

    data: folder of task folders with TSVs; backbone: one encoder's folder; models: folder of such folders
    """

    data: Path | None
    backbone: Path | None
    models: Path | None

    @classmethod
    def from_user(cls, data_dir: str | None, backbone: str | None) -> "Named":
        """What the options `--data-dir` and `--backbone` say, or else the variables FASTBERT_DATA and FASTBERT_MODELS.

        Raises InputError for a folder that is not there: a named source is never fallen back from.
        """

        def folder(value: str | None, name: str) -> Path | None:
            if not value:
                return None
            if not Path(value).expanduser().is_dir():
                raise InputError(f"{name}: found no folder {value}")
            return Path(value).expanduser()

        return cls(
            folder(data_dir, "--data-dir") or folder(os.environ.get(DATA), DATA),
            folder(backbone, "--backbone"),
            folder(os.environ.get(MODELS), MODELS),
        )

    @property
    def names_data(self) -> bool:
        """Whether the user named where data come from."""
        return self.data is not None

    @property
    def names_encoder(self) -> bool:
        """Whether the user named where the encoder comes from."""
        return self.backbone is not None or self.models is not None


def runs_folder() -> Path:
    """Where checkpoints and trained models live: FASTBERT_RUNS, or a folder in the user's cache."""
    named = os.environ.get(RUNS)
    return Path(named).expanduser() if named else Path(platformdirs.user_cache_dir("fastbert-suite")) / "runs"


def settle_profile(profile: str, named: Named) -> str:
    """The profile that will run: `standard` becomes `offline` where nothing is named and the hub is out of reach.

    Raises InputError if only one of data and encoder is named and the hub cannot supply the other.
    """
    if profile in ("smoke", "offline") or (named.names_data and named.names_encoder) or hub.hub_reachable():
        return profile
    if profile == "standard" and not named.names_data and not named.names_encoder:
        return "offline"
    missing = []
    if not named.names_data:
        missing.append(f"the data (name a folder with --data-dir or {DATA})")
    if not named.names_encoder:
        missing.append(f"the encoder (name a folder with --backbone or {MODELS})")
    raise InputError(f"profile {profile}: the hub cannot be reached, and there is no other source for {' and '.join(missing)}")


def load_data(profile: str, task: Task, named: Named) -> TaskData:
    """The task's data: generated in `smoke` and `offline`, else the named folder's, else the hub's."""
    if profile in ("smoke", "offline"):
        return generated.generate(task, lookup(profile, task, "data"))
    if named.data is not None:
        return load_folder(task, named.data)
    return hub.load_hub(task)


def load_encoder(profile: str, task: Task, named: Named, data: TaskData, log: Callable[[str], None]) -> Backbone:
    """The encoder: a tiny random one in `smoke`, the wheel's in `offline`, else the named folder's, else the hub's."""
    name = lookup(profile, task, "backbone")
    if profile == "smoke":
        return backbones.tiny(runs_folder() / "tiny" / f"{task.name}-{data.sha256[:16]}", data.train.texts)
    if profile == "offline":
        from fastbert_core import offline

        return backbones.from_folder(offline.fetch_backbone(runs_folder().parent, log), name)
    if named.backbone is not None:
        return backbones.from_folder(named.backbone)
    if named.models is not None:
        return backbones.from_folder(named.models / name)
    return backbones.from_hub(lookup(profile, task, "hub"))
