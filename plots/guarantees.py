"""Promised against kept: how often a tolerated loss is exceeded on new rows, by how its threshold was chosen."""

import pandas as pd
from matplotlib.figure import Figure

from plots.page import finish, note, sheet
from plots.style import GREY

LOSS = "agreement"
LOOKS = {"learn-then-test": ("#0072B2", "o"), "naive": ("#D55E00", "s")}
ABOUT = (
    "Calibration rows are drawn from the test rows with replacement; all test rows judge, and are the whole "
    "distribution then. Lost: rows that get another answer than the last layer's. Hollow: fewer calibration rows."
)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of guarantees.csv: a panel for each tolerance, a line for each task, points for each method."""
    rows = tables["guarantees"]
    rows = rows[(rows["loss"] == LOSS) & (rows["draws"] > 1)]
    tasks = sorted(rows["task"].unique(), reverse=True)
    tolerances = sorted(rows["epsilon"].unique())
    figure, axes = sheet("draws that broke it (%)", "", len(tolerances), 3, sharex=True, sharey=True)
    figure.set_figheight(max(1.2, 0.35 + 0.17 * len(tasks)))
    axes[0].set_yticks(range(len(tasks)), tasks)
    for panel, epsilon in zip(axes, tolerances, strict=True):
        mine = rows[rows["epsilon"] == epsilon]
        delta = mine["delta"].max()
        if pd.notna(delta):
            panel.axvline(delta, color=GREY, ls="--", lw=0.8, label=f"promised: at most {delta:g}% of draws")
        for (method, size), points in mine.groupby(["method", "rows"]):
            color, marker = LOOKS[method]
            form = {"color": color, "ms": 4, "mfc": color if size == rows["rows"].max() else "none", "mew": 0.8}
            at = points["task"].map(tasks.index)
            panel.plot(points["broken"], at, marker, label=f"{method}, {size:,} rows", **form)
        panel.set_title(f"at most {epsilon:g}% lost")
        panel.set_ylim(-0.6, len(tasks) - 0.4)
    axes[0].set_xlim(left=-2)
    of = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
    worst = rows.groupby("method")["broken"].max()
    title = f"{of}: promises broken, at worst: {', '.join(f'{name} {share:g}%' for name, share in worst.items())}"
    return finish(figure, title, note(rows, tables["runs"], ABOUT))
