"""Command lines' words: refused as bad input is, in one line."""

import argparse
from typing import NoReturn

from fastbert_core.errors import one_line

EXIT_BAD_INPUT = 2


class ArgumentParser(argparse.ArgumentParser):
    """argparse's, whose refusal is one line that says where help is, and exit code 2."""

    def error(self, message: str) -> NoReturn:
        """End the process."""
        self.exit(EXIT_BAD_INPUT, f"error: {one_line(message)}; {self.prog} --help tells more\n")
