"""An audit of the paper by arithmetic: do its numbers follow from one another, and can they be reached at all?"""

from pathlib import Path

import pandas as pd

from fastbert_core.files import atomic_write
from reproductions import reported
from reproductions.audit.check import Check
from reproductions.audit.figures import check_figure3, check_figure5, check_figure7, check_readme
from reproductions.audit.tables import check_results, check_table1


def audit() -> pd.DataFrame:
    """Every check on tables 1 to 3, figures 3, 5 and 7 and the README: a row each, columns as in Check."""
    checks = [
        *check_table1(),
        *check_results("table2"),
        *check_results("table3"),
        *check_figure3(),
        *check_figure5(),
        *check_figure7(),
        *check_readme(),
    ]
    return pd.DataFrame(checks, columns=Check._fields)


def corrected(name: str) -> pd.DataFrame:
    """`reported.load(name)` of "table2" or "table3", with misprinted FLOPs and speedups put right, and two columns more.

    misprinted: the misprinted quantities joined by ";" (accuracy, mflops, speedup), or ""
    misprint: what was printed, what arithmetic gives and how, or ""; an accuracy is doubted here and left as printed
    """
    table, key = reported.load(name), ["task", "model", "setting"]
    found = audit().query("source == @name and not holds").drop_duplicates([*key, "misprinted"]).groupby(key)
    table["misprinted"], table["misprint"] = "", ""
    for index, row in table.iterrows():
        if (where := tuple(row[key])) not in found.groups:
            continue
        failed = found.get_group(where)
        table.loc[index, "misprinted"] = ";".join(sorted(failed["misprinted"]))
        table.loc[index, "misprint"] = "; ".join(map(describe, failed.itertuples()))
        for check in failed.itertuples():
            if check.misprinted in ("mflops", "speedup"):
                table.loc[index, check.misprinted] = check.corrected
    return table


def describe(check: Check) -> str:
    """A failed check in words: "speedup: printed 10.04, by arithmetic 10.43 (21785.25 / 2087 = 10.439)"."""
    should = "" if pd.isna(check.corrected) else f", by arithmetic {check.corrected:g}"
    return f"{check.misprinted}: printed {check.printed:g}{should} ({check.arithmetic})"
