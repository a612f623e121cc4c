"""The checkout that this package lies in, wherever one is: its committed results, and the pages that go with them."""

import os
from pathlib import Path

from fastbert_core.errors import InputError

ROOT = Path(os.path.realpath(__file__)).parents[1]


def in_checkout() -> bool:
    """Whether the suite runs from a checkout, not as a package that was installed without one."""
    return (ROOT / "tox.ini").is_file()


def committed(*names: str) -> Path:
    """The path of `names` in the checkout, as one would name it from the folder one is in.

    Raises InputError where there is no checkout.
    """
    if not in_checkout():
        raise InputError(f"{ROOT}: found no checkout of the suite, expected one that holds {'/'.join(names)}")
    path, here = ROOT.joinpath(*names), Path.cwd()
    return path.relative_to(here) if path.is_relative_to(here) else path


def is_committed(folder: Path, *names: str) -> bool:
    """Whether `folder`, however it is spelt, is the one of `names` in the checkout."""
    return in_checkout() and os.path.realpath(folder) == os.path.realpath(ROOT.joinpath(*names))
