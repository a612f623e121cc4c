"""The two ways a job can end badly, told apart so that the command line can pick its exit code."""


class InputError(ValueError):
    """Bad arguments or bad input: exit code 2.

    The message is one line that names the file and line where there is one,
    what was found and what was expected.
    """


class RunError(RuntimeError):
    """A run that could not finish although its input was good (NaN loss, full disk): exit code 1."""
