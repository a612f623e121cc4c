"""The speedup that was asked against what new rows come to, beside what the speed makes of it: curve and diagonal."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots import curves
from plots.exit_rules import BASES
from plots.page import finish, note, sheet
from plots.style import GREY, METHODS

ASIDE = 0.12  # of their target, so that points of both do not cover each other
UNIT = "FLOPs"
LOOKS = {"dev": ("#D55E00", "s", -ASIDE), "test": ("#0072B2", "o", ASIDE)}  # of the rows that calibrated
ABOUT = (
    "Each line on the left is a model; so is each point at a target on the right, beside its place, judged by test "
    "rows that did not calibrate."
)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of budget.csv and speed_accuracy.csv."""
    rows, speeds = tables["budget"], curves.fastbert(tables)
    rows = rows[rows["rule"].isin(BASES) & (rows["unit"] == UNIT)]
    figure, (left, right) = sheet("", "FLOPs speedup (×)", 2, 2, sharey=True)
    _curves(left, speeds)
    _points(right, rows)
    tasks = rows["task"].unique()
    of = tasks[0] if len(tasks) == 1 else f"{len(tasks)} tasks"
    title = f"{of}: a speedup that is asked comes out at most {rows['error'].abs().max():.0f}% off"
    return finish(figure, title, note(pd.concat([rows, speeds]), tables["runs"], ABOUT, curves.BELOW_ONE))


def _curves(axes: Axes, rows: pd.DataFrame) -> None:
    look = METHODS["FastBERT"]
    for _, mine in rows.groupby("task"):
        axes.plot(mine["speed"], mine["speedup"], look.line, color=look.color, lw=0.8, alpha=0.6)
    axes.set_xlabel("speed (uncertainty to leave below)")
    axes.set_title("as the speed has it")


def _points(axes: Axes, rows: pd.DataFrame) -> None:
    ends = [0, rows["target"].max()]
    axes.plot(ends, ends, "--", color=GREY, lw=0.8, label="as asked")
    for calibration, (color, marker, aside) in LOOKS.items():
        mine = rows[rows["calibration"] == calibration]
        if len(mine):
            low, high = mine["rows"].min(), mine["rows"].max()
            known = f"{low:,}" if low == high else f"{low:,} to {high:,}"
            label = f"by {known} {calibration} rows, at most {mine['error'].abs().max():.1f}% off"
            axes.plot(mine["target"] + aside, mine["speedup"], marker, color=color, ms=3, alpha=0.7, label=label)
    axes.set_xlabel("speedup that is asked (×)")
    axes.set_title("as thresholds by speedup have it")
    axes.set_ylim(bottom=0)
