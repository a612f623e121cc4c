"""FastBERT on several encoders, a task: accuracy against FLOPs, which are the same unit for all of them."""

import itertools

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from plots.page import INTERVALS, finish, note, sheet
from plots.style import PALETTE, distances
from reproductions.speeds import EQUAL_FLOPS


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of encoders.csv."""
    rows = tables["encoders"]
    figure, (panel,) = sheet("MFLOPs a text, the paper's unit", "accuracy on the test set (%)")
    for color, (name, mine) in zip(itertools.cycle(PALETTE), rows.groupby("backbone"), strict=False):
        whole = mine["setting"].str.endswith(" layers")
        dense, exits = mine[whole], mine[~whole].sort_values("mflops")
        for points, form in ((exits, {"fmt": "o-", "ms": 3}), (dense, {"fmt": "D", "ms": 5})):
            what = f"{name} ({points['family'].iloc[0]}), " + ("early exit" if points is exits else "all layers")
            form |= {"color": color, "elinewidth": 0.8, "label": what}
            panel.errorbar(points["mflops"], points["accuracy"], distances(points, "accuracy"), **form)
    panel.set_xscale("log")
    panel.xaxis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator(), major_formatter="{x:g}")
    about = "Early exit by entropy: table 2's speeds, and the FLOPs of all layers of a smaller encoder.", INTERVALS
    return finish(figure, f"{rows['task'].iloc[0]}: {_found(rows)}", note(rows, tables["runs"], *about))


def _found(rows: pd.DataFrame) -> str:
    """What the largest encoder with exits wins or loses at the FLOPs of the cheapest without."""
    equal = rows[rows["setting"] == EQUAL_FLOPS].dropna(subset=["difference", "difference_low"]).sort_values("speedup")
    if equal.empty:
        return "accuracy against FLOPs by encoder"
    row = equal.iloc[-1]
    ends = f"[{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"
    return f"{row['backbone']} at {row['against']}'s FLOPs: {row['difference']:+.2f} {ends} points"
