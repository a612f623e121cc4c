"""What the fuzz tests share: how many inputs there are, how bytes are damaged, and what may become of an input."""

import contextlib
import signal
from collections.abc import Callable, Iterator
from pathlib import Path

from hypothesis import HealthCheck, settings
from hypothesis import strategies as st

from fastbert_core.errors import InputError

SECONDS = 120  # an input that takes longer hangs; most take milliseconds


class Refused:
    """What `outcome` gives for an input that was refused, as it should be: in one line that names the file."""


REFUSED = Refused()


def fuzz(examples: int) -> settings:
    """Mark a test as a fuzz test of so many inputs."""
    return settings(max_examples=examples, suppress_health_check=list(HealthCheck))


def outcome(action: Callable, *arguments: object, folder: Path, name: str) -> object:
    """What `action(*arguments)` returns, or REFUSED.

    Fails if the refusal is not one line with `name` in it, if anything in `folder` has changed, or if it takes for
    ever. Any other exception is passed on, and so fails the test.
    """
    before, said = contents(folder), None
    try:
        with no_hang():
            result = action(*arguments)
    except InputError as error:
        result, said = REFUSED, str(error)
    if said is not None:
        assert said.isprintable()
        assert name in said
    assert contents(folder) == before
    return result


@contextlib.contextmanager
def no_hang() -> Iterator[None]:
    """Raise TimeoutError where the block takes longer than SECONDS."""

    def ring(*_: object) -> None:
        raise TimeoutError(f"still busy after {SECONDS} s")

    previous = signal.signal(signal.SIGALRM, ring)
    signal.alarm(SECONDS)
    try:
        yield
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, previous)


def contents(folder: Path) -> dict[Path, bytes | None]:
    """Every path below `folder`, with the bytes of those that are files; locks, which stay, left out."""
    paths = (path for path in sorted(folder.rglob("*")) if path.name != ".lock")
    return {path: path.read_bytes() if path.is_file() else None for path in paths}


@st.composite
def damaged(draw: Callable, data: bytes, tokens: tuple[bytes, ...] = ()) -> bytes:
    """`data` after one to three cuts, flips, insertions or repetitions; `tokens` are likely insertions."""
    junk = st.sampled_from((b"\0", b"\r", b"\n", b"\xff", b'"', b"\xef\xbb\xbf", b"\xed\xa0\x80", *tokens))
    for _ in range(draw(st.sampled_from((1, 1, 1, 2, 3)))):
        at = draw(st.integers(0, len(data)))
        end = at + draw(st.integers(1, 40))
        kind = draw(st.sampled_from(("cut", "flip", "flip", "insert", "insert", "repeat", "replace", "truncate")))
        if kind == "cut":
            data = data[:at] + data[end:]
        elif kind == "flip" and at < len(data):
            data = data[:at] + bytes([data[at] ^ 1 << draw(st.integers(0, 7))]) + data[at + 1 :]
        elif kind == "insert":
            data = data[:at] + draw(junk | st.binary(min_size=1, max_size=8)) + data[at:]
        elif kind == "repeat":
            data = data[:end] + data[at:]
        elif kind == "replace":
            data = data[:at] + draw(junk | st.binary(min_size=1, max_size=8)) + data[end:]
        elif kind == "truncate":
            data = data[:at]
    return data
