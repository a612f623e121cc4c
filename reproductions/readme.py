"""The README's table, measured beside reported, from the committed CSVs: `python -m reproductions.readme`."""

import sys
from collections.abc import Sequence
from functools import partial

import pandas as pd

from fastbert_core.files import atomic_write
from fastbert_core.tasks import TASKS
from reproductions.arguments import ArgumentParser, exit_code
from reproductions.checkout import committed
from reproductions.show import below_one
from reproductions.store import read_table
from reproductions.table2 import CHOSEN, TOLERATED_LOSS
from reproductions.verdicts import LOSS_MARGIN, VERDICTS

START, END = "<!-- table 2: written by python -m reproductions.readme -->", "<!-- end of table 2 -->"
MIDDLE = "speed=0.5"
SETTINGS = {
    "BERT": ("BERT", "12 layers"),
    "DistilBERT, 6 layers": ("DistilBERT", "6 layers"),
    "3 layers": ("DistilBERT", "3 layers"),
    "1 layer": ("DistilBERT", "1 layers"),
    "FastBERT, speed 0.1": ("FastBERT", "speed=0.1"),
    "0.5": ("FastBERT", "speed=0.5"),
    "0.8": ("FastBERT", "speed=0.8"),
}


def table(rows: pd.DataFrame) -> str:
    """Table 2 as Markdown: accuracy and FLOPs speedup, measured and below it the paper's; empty where there is none."""
    tasks = [task for task in TASKS if task in set(rows["task"])]
    lines = ["| task | | " + " | ".join(SETTINGS) + " |", "| --- " * (len(SETTINGS) + 2) + "|"]
    for task in tasks:
        mine = rows[rows["task"] == task].set_index(["model", "setting"])
        found = [mine.loc[key] if key in mine.index else None for key in SETTINGS.values()]
        rows_of = f"{mine['train_rows'].max():,} / {mine['test_rows'].max():,} rows"
        lines += [
            f"| {task} | measured, {rows_of} | "
            + " | ".join(_cell(row, "accuracy", "speedup") for row in found)
            + " |",
            "| | paper | " + " | ".join(_cell(row, "reported_accuracy", "reported_speedup") for row in found) + " |",
        ]
    return "\n".join(lines)


def tally(rows: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """What the relative verdicts come to, and what the paper's speed and the one chosen on dev cost: a list."""
    verdicts = rows.loc[rows["verdict_relative"] != "", "verdict_relative"]
    counts = [f"{(verdicts == verdict).sum()} {verdict}" for verdict in VERDICTS]
    middle = rows[(rows["setting"] == MIDDLE) & rows["relative_loss"].notna()].set_index("task")
    losses = [
        f"{task} {middle.loc[task, 'relative_loss']:.2f} ({middle.loc[task, 'reported_loss']:.2f})"
        for task in TASKS
        if task in middle.index
    ]
    chosen = rows[rows["setting"].str.endswith(CHOSEN)].set_index("task")
    to_bert = comparisons[(comparisons["against"] == "BERT") & comparisons["setting"].str.endswith(CHOSEN)]
    to_bert = to_bert.set_index("task")["difference"]
    costs = [
        f"{task} {0 - to_bert[task]:.2f} at {chosen.loc[task, 'mean_layers']:.1f} layers"
        for task in TASKS
        if task in chosen.index
    ]
    return "\n".join(
        [
            f"- At the paper's mean executed layers FastBERT's loss to its own teacher, held against the paper's loss "
            f"with a margin of {LOSS_MARGIN} points: of {len(verdicts)} rows {', '.join(counts)} (`verdict_relative`; "
            "*worse* after Holm's correction over these rows).",
            f"- At those of {MIDDLE.replace('=', ' ')} it loses, in points and in brackets what the paper's loses: "
            f"{'; '.join(losses)}.",
            f"- The fastest speed within {TOLERATED_LOSS} points of the teacher on dev costs, in points on the test "
            f"set: {'; '.join(costs)}.",
            *(f"- {line}" for line in below_one(rows)),
        ]
    )


def with_table(text: str, rows: pd.DataFrame, comparisons: pd.DataFrame) -> str:
    """`text` with the table and what it comes to between its two markers."""
    head, _, rest = text.partition(START)
    return f"{head}{START}\n\n{table(rows)}\n\n{tally(rows, comparisons)}\n\n{END}{rest.partition(END)[2]}"


def _cell(row: pd.Series | None, accuracy: str, speedup: str) -> str:
    if row is None or pd.isna(row[accuracy]):
        return ""
    return f"{row[accuracy]:.2f}" + ("" if pd.isna(row[speedup]) else f" · {row[speedup]:.2f}x")


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the table into the README; returns the exit code."""
    return exit_code(partial(_write, arguments))


def _write(arguments: Sequence[str] | None) -> int:
    ArgumentParser(prog="python -m reproductions.readme", description=__doc__).parse_args(arguments)
    path = committed("README.md")
    tables = [read_table(committed("results", "standard"), name) for name in ("table2", "comparisons")]
    written = with_table(path.read_text(encoding="utf-8"), *tables)
    with atomic_write(path) as file:
        file.write(written.encode())
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
