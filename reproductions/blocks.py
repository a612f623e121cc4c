"""What the blocks of pages show: each a function of the committed tables that gives Markdown."""

from collections.abc import Callable

import pandas as pd

from fastbert_core.tasks import TASKS
from reproductions.checkout import committed
from reproductions.columns import documentation
from reproductions.machines import BENCHES
from reproductions.names import BENCH, PROFILES
from reproductions.tables import read_or_empty


class Tables(dict[str, pd.DataFrame]):
    """The committed tables by name, each read when it is first asked for; one without a file has no rows.

    Of another profile, or of tasks beside the paper's, the folder stands before the name: `packaged/table2`,
    `more/table2`.
    """

    def __missing__(self, asked: str) -> pd.DataFrame:
        group, _, name = asked.rpartition("/")
        profile = BENCH if name in BENCHES else "" if group in PROFILES else "standard"
        folder = committed("results", profile, group)
        self[asked] = read_or_empty(folder, name)
        return self[asked]


BLOCKS: dict[str, Callable[[Tables], str]] = {"columns": lambda tables: documentation()}


def block(function: Callable[[Tables], str]) -> Callable[[Tables], str]:
    """Register a block under the function's name."""
    BLOCKS[function.__name__] = function
    return function


def in_order(rows: pd.DataFrame) -> list[str]:
    """The suite's tasks that `rows` are of, in its order."""
    return [task for task in TASKS if task in set(rows["task"])]


def markdown(rows: pd.DataFrame | list[dict]) -> str:
    """Rows as a Markdown table; what to say where there are none."""
    table = pd.DataFrame(rows)
    return table.to_markdown(index=False, disable_numparse=True) if len(table) else "Not measured yet."
