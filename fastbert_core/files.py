"""Files that are either whole or not there, and what identifies their content."""

import contextlib
import hashlib
import json
import lzma
import os
import re
import shutil
import tempfile
import zlib
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

from fastbert_core.errors import InputError, RunError, reason, refused

UNREADABLE = (OSError, EOFError, zlib.error, lzma.LZMAError)  # OSError: no permission, or no gzip header
HUB_ID = re.compile(r"[A-Za-z0-9][\w.-]*/[\w.-]+", re.ASCII)
PARTIAL = ".partial"  # how names of files in the making, and of folders with such files, end


def model_folder(folder: Path) -> Path:
    """`folder`, a trained model's. Raises InputError if it is none."""
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: found no config.json, expected a trained model's folder")
    return folder


def model_source(source: str | Path) -> str | Path:
    """`source`, a trained model's folder or what may be its hub id. Raises InputError if it is neither."""
    if Path(source).is_dir():
        model_folder(Path(source))
    elif not HUB_ID.fullmatch(str(source)):
        raise InputError(f"{source}: no such folder, expected a trained model's, or its hub id (owner/name)")
    return source


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """Open a binary file that takes the place of `path` when the block ends well, and vanishes when it does not.

    An OSError without a file's name, as of a full disk, gets that of `path`.
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    handle, temporary = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}.", suffix=PARTIAL)
    try:
        with naming(path), os.fdopen(handle, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        os.chmod(temporary, 0o666 & ~_umask())  # mkstemp makes files for their owner alone
        os.replace(temporary, path)
    except BaseException:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(temporary)
        raise


def write_whole(path: Path, content: str | bytes) -> None:
    """Put `content`, a text in UTF-8, into the place of `path`, as `atomic_write` does."""
    with atomic_write(path) as file:
        file.write(content if isinstance(content, bytes) else content.encode())


@contextlib.contextmanager
def atomic_files(folder: Path) -> Iterator[Path]:
    """A hidden folder for a library to write in: its files take their places in `folder` when the block ends well.

    Each of them whole, and one by one; when the block does not end well they vanish, and whatever files of its own the
    library had begun. Errors of libraries become RunErrors that name `folder`.
    """
    folder.mkdir(parents=True, exist_ok=True)
    with writing(folder), tempfile.TemporaryDirectory(dir=folder, prefix=".", suffix=PARTIAL) as temporary:
        yield Path(temporary)
        for path in sorted(Path(temporary).iterdir()):
            with naming(folder / path.name), open(path, "rb") as file:
                os.fsync(file.fileno())
            os.chmod(path, 0o666 & ~_umask())  # safetensors makes files for their owner alone
            os.replace(path, folder / path.name)


def remove_partial(folder: Path) -> None:
    """Remove what writers that were killed left in `folder` and below. Only for who is alone in it."""
    for path in list(Path(folder).rglob(f".*{PARTIAL}")):
        if path.is_dir():
            shutil.rmtree(path)
        else:
            path.unlink(missing_ok=True)


@contextlib.contextmanager
def naming(path: Path) -> Iterator[None]:
    """OSErrors without a file's name, as of a full disk, get that of `path`."""
    try:
        yield
    except OSError as error:
        error.filename = error.filename or str(path)
        raise


@contextlib.contextmanager
def writing(path: Path) -> Iterator[None]:
    """What a library writes to `path`: where it fails, say because the disk is full, the error names `path`.

    OSErrors without a file's name get that; errors of safetensors and tokenizers, which write in Rust, are no OSErrors
    and share no base class: they become a RunError.
    """
    try:
        with naming(path):
            yield
    except (OSError, RunError):  # which name what they are of
        raise
    except Exception as error:
        raise RunError(f"{path}: {reason(error)}") from error


def read_object(path: Path, expected: str) -> dict:
    """The JSON object in a file. Raises InputError, with what is `expected`, if there is none."""
    with refused(f"{path}: found no JSON (", f"), expected {expected}", (OSError, ValueError, RecursionError)):
        found = json.loads(Path(path).read_text("utf-8"))
    if not isinstance(found, dict):
        raise InputError(f"{path}: found a JSON {type(found).__name__}, expected {expected}")
    return found


def readable(path: Path) -> bool:
    """Whether there is something to read from: a file, a pipe or a device, but no folder."""
    return os.path.exists(path) and not os.path.isdir(path)


def within(folder: Path, *names: str | Path) -> Path:
    """The path of `names` below `folder`, out of which neither a name nor a symbolic link may lead it.

    `folder` itself is the user's word, and may be a link. Raises InputError if the path lies elsewhere.
    """
    path = Path(folder, *names)
    if "\0" in str(path) or not Path(os.path.realpath(path)).is_relative_to(os.path.realpath(folder)):
        raise InputError(f"{path}: found a way out of {folder}, expected a place within")
    return path


def expanded(path: str | os.PathLike) -> Path:
    """`path` with the home folder in the place of ~, where there is such a folder."""
    try:
        return Path(os.path.expanduser(path))
    except ValueError:  # ~ before what can be no user's name
        return Path(path)


def _umask() -> int:
    mask = os.umask(0)
    os.umask(mask)
    return mask


def sha256(*paths: Path) -> str:
    """Hex digest over the content of the files, in the order given."""
    digest = hashlib.sha256()
    for path in paths:
        with open(path, "rb") as file:
            hashlib.file_digest(file, lambda: digest)
    return digest.hexdigest()
