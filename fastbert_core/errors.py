"""The ways a job can end badly, told apart so that the command line can pick its exit code."""

import contextlib
from collections.abc import Iterator

LONGEST = 800  # bytes of a message, so that the line it is printed in stays below 1,000
GAP = " ... "


def one_line(text: str) -> str:
    """`text` with everything that is not printable, line ends among it, written as an escape.

    Of what is longer than LONGEST bytes in UTF-8 the middle is left out: the file is named first, the remedy last.
    """
    if len(text) > 2 * LONGEST:  # whose middle need not be escaped
        text = text[:LONGEST] + text[-LONGEST:]
    line = "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)
    whole = line.encode()
    if len(whole) <= LONGEST:
        return line
    half = (LONGEST - len(GAP)) // 2
    return whole[:half].decode(errors="ignore") + GAP + whole[-half:].decode(errors="ignore")


def reason(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it says nothing; of a key, that there is none."""
    line = next(iter(str(error).strip().splitlines()), type(error).__name__)
    return f"no {line}" if type(error) is KeyError and error.args else line


@contextlib.contextmanager
def refused(before: str, after: str = "", kinds: tuple[type[Exception], ...] = (Exception,)) -> Iterator[None]:
    """An error of a library, which may be of any class, becomes an InputError: `before`, its reason, `after`."""
    try:
        yield
    except InputError:
        raise
    except kinds as error:
        raise InputError(f"{before}{reason(error)}{after}") from error


class _OneLine(Exception):
    """An error whose message is one short printable line, whatever files, paths and other errors it quotes."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(_OneLine, ValueError):
    """Bad arguments or bad input: exit code 2.

    The message is one line that names the file and line where there is one,
    what was found and what was expected.
    """


class RunError(_OneLine, RuntimeError):
    """A run that could not finish although its input was good (NaN loss, full disk): exit code 1."""


class QueueFull(RunError):
    """A request that was refused because as many are under way as may be. Come again later."""


class DeadlinePassed(RunError, TimeoutError):
    """A request that was given up because its time had run out before it had an answer."""


class Closed(RunError):
    """A request that came, or was under way, when the engine was closed."""
