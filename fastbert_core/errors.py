"""The two ways a job can end badly, told apart so that the command line can pick its exit code."""


def one_line(text: str) -> str:
    """`text` with everything that is not printable, line ends among it, written as an escape."""
    return "".join(char if char.isprintable() else char.encode("unicode_escape").decode() for char in text)


def reason(error: BaseException) -> str:
    """The first line of an error's message, or its kind where it says nothing."""
    return next(iter(str(error).strip().splitlines()), type(error).__name__)


class _OneLine(Exception):
    """An error whose message is one printable line, whatever files, paths and other errors it quotes."""

    def __init__(self, message: str) -> None:
        super().__init__(one_line(message))


class InputError(_OneLine, ValueError):
    """Bad arguments or bad input: exit code 2.

    The message is one line that names the file and line where there is one,
    what was found and what was expected.
    """


class RunError(_OneLine, RuntimeError):
    """A run that could not finish although its input was good (NaN loss, full disk): exit code 1."""
