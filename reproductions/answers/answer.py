"""What an answer is, and the words that answers have in common."""

from collections.abc import Sequence
from typing import NamedTuple

import pandas as pd

from reproductions.compare import Paired


class Answer(NamedTuple):
    """One line, the numbers behind it (may be empty), and what they are."""

    line: str
    table: pd.DataFrame = pd.DataFrame()
    about: str = ""


def interval(difference: Paired) -> str:
    """A difference in points, with its interval."""
    return f"{difference.difference:+.2f} [{difference.low:+.2f}, {difference.high:+.2f}]"


def signs(differences: Sequence[Paired]) -> tuple[int, int]:
    """How many lie above 0, and how many below, with their whole interval."""
    return sum(difference.low > 0 for difference in differences), sum(difference.high < 0 for difference in differences)


def counted(differences: Sequence[Paired], other: str) -> str:
    """Of how many comparisons with `other` it is better, worse, undecided."""
    better, worse = signs(differences)
    undecided = len(differences) - better - worse
    return (
        f"better than {other} in {better} of {len(differences)} comparisons, worse in {worse}, undecided in {undecided}"
    )


def lead(differences: Sequence[Paired]) -> str:
    """The first word of an answer."""
    better, worse = signs(differences)
    if better and worse:
        return "It depends"
    return "Yes" if better else "No" if worse else "Undecided"


def unanswered(needs: str) -> Answer:
    """The answer where the traces that it `needs` are missing."""
    return Answer(f"Not answered here: it needs {needs}.")
