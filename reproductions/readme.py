"""The table of the README, measured beside reported, from table2.csv: `python -m reproductions.readme`."""

from pathlib import Path

import pandas as pd

from fastbert_core.files import atomic_write
from fastbert_core.tasks import TASKS
from reproductions.results import read_table
from reproductions.table2 import CHOSEN, TOLERATED_LOSS

START, END = "<!-- table 2: written by python -m reproductions.readme -->", "<!-- end of table 2 -->"
README, RESULTS = Path("README.md"), Path("results/standard")
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
        trained = f"{mine['train_rows'].max():,} rows"
        lines += [
            f"| {task} | measured, {trained} | "
            + " | ".join(_cell(row, "accuracy", "speedup") for row in found)
            + " |",
            "| | paper | " + " | ".join(_cell(row, "reported_accuracy", "reported_speedup") for row in found) + " |",
        ]
    return "\n".join(lines)


def tally(rows: pd.DataFrame) -> str:
    """What the relative verdicts come to, and what the speed chosen on dev costs on the test set, in two sentences."""
    verdicts = rows["verdict_relative"].dropna()
    chosen = rows[rows["setting"].str.endswith(CHOSEN)].set_index("task")
    teachers = rows[rows["model"] == "BERT"].set_index("task")["accuracy"]
    costs = [
        f"{task} {teachers[task] - chosen.loc[task, 'accuracy']:.2f} at {chosen.loc[task, 'mean_layers']:.1f} layers"
        for task in TASKS
        if task in chosen.index
    ]
    return "\n".join(
        [
            f"At the paper's mean executed layers FastBERT loses no more to its own teacher than in the paper in "
            f"{(verdicts == 'reproduced').sum()} of {len(verdicts)} rows (`verdict_relative`).",
            f"The fastest speed within {TOLERATED_LOSS} points of the teacher on dev costs, in points on the test set: "
            f"{'; '.join(costs)}.",
        ]
    )


def with_table(text: str, rows: pd.DataFrame) -> str:
    """`text` with the table and what it comes to between its two markers."""
    head, _, rest = text.partition(START)
    return f"{head}{START}\n\n{table(rows)}\n\n{tally(rows)}\n\n{END}{rest.partition(END)[2]}"


def _cell(row: pd.Series | None, accuracy: str, speedup: str) -> str:
    if row is None or pd.isna(row[accuracy]):
        return ""
    return f"{row[accuracy]:.2f}" + ("" if pd.isna(row[speedup]) else f" · {row[speedup]:.2f}x")


if __name__ == "__main__":
    written = with_table(README.read_text(encoding="utf-8"), read_table(RESULTS, "table2"))
    with atomic_write(README) as file:
        file.write(written.encode())
