"""The hashes of a profile's traces: `traces/SHA256SUMS`, as `sha256sum` writes it and `sha256sum -c` reads it."""

import hashlib
import re
from collections.abc import Mapping
from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write
from reproductions.columns import key_of
from reproductions.store import trace_key

_LINE = re.compile(r"(?P<digest>[0-9a-f]{64}) [ *](?P<name>.+)")


def sums_path(results_dir: Path) -> Path:
    """Where the hashes of the traces in `results_dir` lie."""
    return Path(results_dir) / "traces" / "SHA256SUMS"


def read_sums(results_dir: Path) -> dict[str, str]:
    """The listed SHA-256 of each trace by its path below traces/; empty where there is no list.

    Raises InputError, naming the line, for a list of another form.
    """
    path = sums_path(results_dir)
    if not path.is_file():
        return {}
    sums = {}
    for number, line in enumerate(path.read_text(encoding="utf-8", errors="replace").splitlines(), 1):
        if not (match := _LINE.fullmatch(line)):
            raise InputError(f"{path}, line {number}: found {line[:80]!r}, expected a SHA-256, two spaces and a file")
        sums[match["name"]] = match["digest"]
    return sums


def record_sums(results_dir: Path, traces: Mapping[Path, bytes], runs: pd.DataFrame) -> Path:
    """List `traces`, the bytes of each by the path they will be saved at, in the place of all that their runs had.

    To be called before they are saved, with the table `runs` as it stands: lines of runs that are not in it go. Lines
    of others stay as they are: a trace that has changed since it was published must not be vouched for anew.
    """
    path = sums_path(results_dir)
    listed = set(runs[key_of("runs")].itertuples(index=False, name=None))
    staying = listed - {_run(place) for place in traces}
    sums = {name: digest for name, digest in read_sums(results_dir).items() if _run(Path(name)) in staying}
    sums |= {
        p.relative_to(path.parent).as_posix(): hashlib.sha256(content).hexdigest() for p, content in traces.items()
    }
    with atomic_write(path) as file:
        file.write("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    return path


def _run(trace: Path) -> tuple[str, str, str, int]:
    key = trace_key(trace)
    return key.task, key.model, key.variant, key.seed
