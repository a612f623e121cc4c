"""The hashes of a profile's traces: `traces/SHA256SUMS`, as `sha256sum` writes it and `sha256sum -c` reads it."""

import re
import tempfile
from collections.abc import Mapping
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write, sha256
from fastbert_core.trace import Trace, save_trace
from reproductions.results import trace_key

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


def record_sums(results_dir: Path, traces: Mapping[Path, Trace]) -> Path:
    """List `traces`, by the path each will be saved at, in the place of all that their runs had listed before.

    To be called before they are saved. Lines of other runs stay as they are: a trace that has changed since it was
    published must not be vouched for anew.
    """
    path = sums_path(results_dir)
    runs = {_run(trace) for trace in traces}
    sums = {name: digest for name, digest in read_sums(results_dir).items() if _run(Path(name)) not in runs}
    sums |= {place.relative_to(path.parent).as_posix(): digest(trace) for place, trace in traces.items()}
    with atomic_write(path) as file:
        file.write("".join(f"{digest}  {name}\n" for name, digest in sorted(sums.items())).encode())
    return path


def digest(trace: Trace) -> str:
    """SHA-256 of the file that `save_trace` makes of `trace`, whose bytes depend on its content alone."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "trace.npz"
        save_trace(trace, path)
        return sha256(path)


def _run(trace: Path) -> tuple[str, str, str, int]:
    key = trace_key(trace)
    return key.task, key.model, key.variant, key.seed
