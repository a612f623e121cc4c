"""What the paper reports, as data: the CSVs in `reproductions/paper/`, with layers counted from 1."""

from collections.abc import Sequence
from pathlib import Path

import pandas as pd

FOLDER = Path(__file__).parent / "paper"
KEY = ["source", "task", "model", "setting"]  # names a row of the paper's tables


def load(name: str) -> pd.DataFrame:
    """The reported numbers of one table or figure, named as its CSV.

    Accuracies and shares are per cent, `mflops` millions, `speedup` against 21785M. Everything is as printed, misprints
    included (`misprints` lists them), but for layers: figures 4 and 5 count them from 0, and the files from 1.
    """
    return pd.read_csv(FOLDER / f"{name}.csv")


def beside(tables: Sequence[pd.DataFrame], printed: pd.DataFrame, on: list[str]) -> pd.DataFrame:
    """What was measured in one table, with what the paper has in the same row of `on`; empty where nothing was."""
    return pd.concat(tables).merge(printed, on=on, how="left") if tables else pd.DataFrame()


def misprints() -> pd.DataFrame:
    """misprints.csv, a row for each statement that cannot be right, and `words`: what it says and the arithmetic.

    Several tasks of one statement are joined by ";". `effect` says what becomes of the printed number here: it is shown
    "as printed" and decides nothing; "corrected", and `correct` decides; "not compared": nothing tells what is right.
    """
    table = load("misprints").fillna({"task": ""})
    should = [f", by arithmetic {number:g}" if pd.notna(number) else "" for number in table["correct"]]
    return table.assign(words=table["quantity"] + " " + table["printed"] + should + ": " + table["arithmetic"])


def corrected() -> pd.DataFrame:
    """Tables 2 and 3 together as printed, and what misprints.csv says of each row.

    corrected_mflops: the FLOPs to reckon with
    doubtful: whether nothing tells what the accuracy should be
    misprint: every misprinted number of the row with its arithmetic, "" where there is none
    """
    table = pd.concat([load("table2"), load("table3")], ignore_index=True)
    table["source"] = table["source"].str.split(n=1).str[1]  # "table 2" of "arXiv:2004.02178v2 table 2"
    table, wrong = table.set_index(KEY), misprints()
    wrong = wrong.assign(task=wrong["task"].str.split(";")).explode("task").set_index(KEY)
    right = wrong.loc[wrong["effect"] == "corrected", "correct"]  # of FLOPs alone
    table["corrected_mflops"] = right.reindex(table.index).fillna(table["mflops"])
    table["doubtful"] = table.index.isin(wrong.index[wrong["effect"] == "not compared"])
    table["misprint"] = ("misprinted " + wrong["words"]).groupby(KEY).agg("; ".join).reindex(table.index).fillna("")
    return table.reset_index()
