"""What all command lines share: words refused in one line, exit codes, and output that nobody reads."""

import argparse
import contextlib
import functools
import logging
import os
import sys
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path
from typing import NoReturn

from fastbert_core.errors import InputError, RunError, one_line

EXIT_FAILED, EXIT_BAD_INPUT, EXIT_INTERRUPTED = 1, 2, 130
EXIT_UNREAD = 141  # as shells say of a program whose output nobody reads any more
PICTURES = (".png", ".svg", ".pdf")


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, whose refusal is one line that says where help is, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """End the process."""
        self.exit(EXIT_BAD_INPUT, f"error: {one_line(message)}; {self.prog} --help tells more\n")


def whole(text: str) -> int:
    """For argparse, the type of an option that counts something."""
    if not text.isdecimal() or int(text) < 1:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a whole number from 1")
    return int(text)


def number(below: float, expected: str) -> Callable[[str], float]:
    """For argparse, the type of an option that lies between 0 and `below`, which messages call `expected`."""

    def parsed(text: str) -> float:
        try:
            value = float(text)
        except ValueError:
            value = 0.0
        if not 0 < value < below:
            raise argparse.ArgumentTypeError(f"found {text!r}, expected {expected}")
        return value

    return parsed


def picture(text: str) -> Path:
    """For argparse, the type of an option that names a picture to be drawn."""
    path = Path(text)
    if path.suffix.lower() not in PICTURES:
        raise argparse.ArgumentTypeError(f"found {text!r}, expected a name that ends in {', '.join(PICTURES)}")
    return path


@contextlib.contextmanager
def resumable() -> Iterator[None]:
    """An interrupt of what goes on from checkpoints says so."""
    try:
        yield
    except KeyboardInterrupt:
        raise KeyboardInterrupt("the same command goes on from the last checkpoint") from None


def quiet() -> None:
    """transformers' own bars and advice, which are for programmers, off, and what the hub's client tells of retries."""
    import transformers

    logging.getLogger("huggingface_hub").setLevel(logging.ERROR)
    transformers.utils.logging.disable_progress_bar()
    transformers.utils.logging.set_verbosity_error()


def exit_code(command: Callable[[], int], memory: str = "") -> int:
    """Run a command and return its exit code; what ends it otherwise is told on stderr in one line.

    memory: what is added where a GPU's memory runs out

    1 failed, 2 bad input, 130 interrupted (what the KeyboardInterrupt says is told too), 141 the reader of the output
    has left, which is not told. Where stdout is closed from the start, what is printed is lost and all else goes on.
    """
    _open_streams()
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path need not be text in its encoding
    try:
        try:
            return command()
        finally:
            _flush()
    except InputError as error:
        return fail(str(error), EXIT_BAD_INPUT)
    except RuntimeError as error:
        if type(error).__name__ == "OutOfMemoryError":  # torch's, which need not be imported to name it
            return fail(f"{error}{memory}", EXIT_FAILED)
        if not isinstance(error, RunError):
            raise
        return fail(str(error), EXIT_FAILED)
    except BrokenPipeError:
        return EXIT_UNREAD
    except OSError as error:
        return fail(f"{error.filename or 'input or output'}: {error.strerror or error}", EXIT_FAILED)
    except KeyboardInterrupt as error:
        return fail("; ".join(("interrupted", *error.args)), EXIT_INTERRUPTED)


def command_line(command: Callable[..., int]) -> Callable[..., int]:
    """A decorator of a `main`: however it ends, it returns an exit code, as `exit_code` says."""

    @functools.wraps(command)
    def main(*arguments: Sequence[str] | None) -> int:
        return exit_code(functools.partial(command, *arguments))

    return main


def fail(message: str, code: int) -> int:
    """Tell an error in one line, and return `code`."""
    with contextlib.suppress(OSError):  # nobody reads it
        print(f"error: {one_line(message)}", file=sys.stderr)
    return code


def _open_streams() -> None:
    """Standard streams that are closed lead nowhere: the next file to be opened must not be taken for one of them."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            nowhere = os.open(os.devnull, os.O_RDWR)
            os.set_inheritable(nowhere, True)
            setattr(sys, name, os.fdopen(nowhere, mode))


def _flush() -> None:
    try:
        sys.stdout.flush()
    except OSError:  # what could not be written must not be tried again, and told of, when the interpreter ends
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise
