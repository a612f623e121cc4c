"""A registry: things by name, one module of a package each, found by being there."""

import difflib
import importlib
import pkgutil
from collections.abc import Iterable, Iterator, Mapping
from typing import Generic, TypeVar

from fastbert_core.errors import InputError

T = TypeVar("T")


def look_up(kind: str, name: str, things: Mapping[str, T]) -> T:
    """The one of `things` called `name`. Raises InputError, which suggests the nearest, if there is none."""
    if not isinstance(name, str) or name not in things:
        near = did_you_mean(str(name), things)
        raise InputError(f"{kind}: found {name!r}, expected one of {', '.join(things)}{near}")
    return things[name]


def did_you_mean(name: str, things: Iterable[str]) -> str:
    """The end of a message about `name`, which is none of `things`: the nearest of them, if any is near."""
    near = difflib.get_close_matches(name, things, 1)
    return f"; did you mean {near[0]!r}?" if near else ""


class Registry(Mapping[str, T], Generic[T]):
    """What the modules of `package` have registered under a name; they are imported when one is first looked up.

    `kind` is what messages call it. Looking up an unknown name raises InputError, which suggests the nearest.
    """

    def __init__(self, kind: str, package: str) -> None:
        self._kind, self._package = kind, package
        self._things: dict[str, T] = {}
        self._loaded = False

    def register(self, name: str, thing: T) -> None:
        """Register `thing` under `name`. Raises ValueError if the name is taken."""
        if name in self._things:
            raise ValueError(f"{self._kind} {name!r} is registered twice")
        self._things[name] = thing

    def __getitem__(self, name: str) -> T:
        return look_up(self._kind, name, self._all())

    def __contains__(self, name: object) -> bool:
        return name in self._all()

    def __iter__(self) -> Iterator[str]:
        return iter(self._all())

    def __len__(self) -> int:
        return len(self._all())

    def _all(self) -> dict[str, T]:
        if not self._loaded:
            package = importlib.import_module(self._package)
            for module in pkgutil.iter_modules(package.__path__):
                importlib.import_module(f"{self._package}.{module.name}")
            self._things = dict(sorted(self._things.items()))
            self._loaded = True
        return self._things
