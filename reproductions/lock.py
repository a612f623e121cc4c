"""One writer at a time: a lock on a folder, which the operating system takes back however its holder ends."""

import contextlib
import json
import os
from collections.abc import Callable, Iterator
from datetime import UTC, datetime
from pathlib import Path

from filelock import FileLock, Timeout

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write, remove_partial
from reproductions.provenance import command_line

LOCK, HOLDER = ".lock", ".lock.json"
POLL_SECONDS = 0.5


@contextlib.contextmanager
def locked(folder: Path, log: Callable[[str], None]) -> Iterator[None]:
    """Be the only one inside the block who holds `folder`; where another process holds it, tell `log` who, and wait.

    Who holds a folder is alone in it, so what killed writers left half written there is removed. Raises InputError if
    there is no such folder, OSError if it cannot be written in.
    """
    if not folder.is_dir():
        raise InputError(f"{folder}: no such folder")
    lock, holder = FileLock(folder / LOCK), folder / HOLDER
    try:
        lock.acquire(timeout=0)
    except Timeout:
        log(f"{folder}: held by {_told(holder)}; waiting")
        lock.acquire(poll_interval=POLL_SECONDS)
    try:
        with atomic_write(holder) as file:
            since = datetime.now(UTC).isoformat(timespec="seconds")
            file.write(json.dumps({"pid": os.getpid(), "command": command_line(), "since": since}).encode())
        remove_partial(folder)
        yield
    finally:
        holder.unlink(missing_ok=True)
        lock.release()


def _told(holder: Path) -> str:
    """Who holds the lock, in words. A holder that has just come, or is just going, has no file."""
    try:
        return "pid {pid} since {since} ({command})".format(**json.loads(holder.read_text(encoding="utf-8")))
    except FileNotFoundError:
        return "another process"
