"""The shared core: a FastBERT that trains, traces, exits early and counts its FLOPs.

The public names below are imported when they are first used, so that `import fastbert_core` costs nothing.
"""

import importlib
from typing import Any

_PUBLIC = {
    "Engine": "engine",
    "FAMILIES": "backbones",
    "FastBertConfig": "model",
    "FastBertModel": "model",
    "RULES": "exit_rules",
    "TASKS": "tasks",
    "TRAININGS": "trainings",
    "Trace": "trace",
    "load_trace": "trace",
    "save_trace": "trace",
    "train_classifier": "classifier",
}
__all__ = list(_PUBLIC)


def __getattr__(name: str) -> Any:
    if name not in _PUBLIC:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(f"{__name__}.{_PUBLIC[name]}"), name)


def __dir__() -> list[str]:
    return [*globals(), *_PUBLIC]
