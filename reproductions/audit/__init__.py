"""An audit of the paper by arithmetic: do its numbers follow from one another, and can they be reached at all?"""

import pandas as pd

from reproductions import reported
from reproductions.audit.check import Check
from reproductions.audit.figures import check_figure3, check_figure5, check_figure7, check_readme
from reproductions.audit.tables import check_results, check_table1


def audit() -> pd.DataFrame:
    """Every check on tables 1 to 3, figures 3, 5 and 7 and the authors' README: a row each, columns as in Check."""
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


def misprints(checks: pd.DataFrame) -> pd.DataFrame:
    """The failed checks that name what is wrong, the arithmetic of several joined.

    A row for each printed number; where it is open which of two is wrong, for each way to read it. A check that fails
    because of another number than the one it looks at is left out: that number has its own row.
    """
    failed = checks[~checks["holds"] & ((checks["misprinted"] == checks["quantity"]) | _disagree(checks))]
    place = ["source", "task", "model", "setting", "misprinted", "quantity"]
    join = {"printed": "first", "corrected": "first", "arithmetic": lambda texts: "; ".join(dict.fromkeys(texts))}
    return failed.groupby(place, sort=False).agg(join).reset_index()


def corrected() -> pd.DataFrame:
    """Tables 2 and 3 together as printed, and what the audit says of each row.

    corrected_mflops: the FLOPs as they should be printed
    doubtful: whether the accuracy contradicts figure 3
    misprint: every misprinted number of the row with its arithmetic, "" where there is none
    """
    found = misprints(audit())
    tables = []
    for name in ("table2", "table3"):
        table = reported.load(name)
        here = found[found["source"] == name.replace("table", "table ")].groupby(["task", "model", "setting"])
        parts = [
            here.get_group(key) if key in here.groups else found.iloc[:0]
            for key in zip(table["task"], table["model"], table["setting"], strict=True)
        ]
        wrong = [part.set_index("misprinted")["corrected"] for part in parts]
        tables.append(
            table.assign(
                corrected_mflops=[w.get("mflops", p) for w, p in zip(wrong, table["mflops"], strict=True)],
                doubtful=["accuracy" in w for w in wrong],
                misprint=["; ".join(map(_in_words, part.itertuples())) for part in parts],
            )
        )
    return pd.concat(tables, ignore_index=True)


def _disagree(checks: pd.DataFrame) -> pd.Series:
    """Whether a check fails because two sources disagree, where nothing tells which is wrong."""
    return checks["misprinted"].str.contains(" or ")


def _in_words(misprint: tuple) -> str:
    """Like "misprinted speedup 10.04, by arithmetic 10.43: 21785.25 / 2087 = 10.439; figure 3 draws 10.44"."""
    should = "" if pd.isna(misprint.corrected) else f", by arithmetic {misprint.corrected:g}"
    return f"misprinted {misprint.misprinted} {misprint.printed:g}{should}: {misprint.arithmetic}"
