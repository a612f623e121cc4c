"""Figure 3, all tasks at a glance: what the speedup costs, in points of accuracy lost to BERT of the same data."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from plots import curves
from plots.page import finish, heading, note, sheet, span
from plots.style import GREY, hollow, marks, points
from reproductions.speeds import TOLERATED_LOSS, at_chosen_speed

TICKS = (-2, -0.5, 0, 0.5, 1, 2, 5, 10, 20, 50)
ABOUT = (
    "Linear to half a point, logarithmic beyond. Bars: paired 95% intervals, of which {sure} lie within half a point. "
    "Test rows that are one text to the encoder count once in n."
)
PAPER_NOTE = "The paper's points lose to its own BERT, on its data and encoder; table2.csv says how ours differ."


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of speed_accuracy.csv, table2.csv and comparisons.csv, which has the intervals of what is lost."""
    rows, models = curves.fastbert(tables), tables["table2"]
    chosen = at_chosen_speed(models, tables["comparisons"])
    rows = rows[rows["task"].isin(models["task"])]  # of tasks with one label a text: table 2 has no others
    tasks = rows["task"].unique()
    labels = "FLOPs speedup over BERT (×)", "accuracy lost (points)"
    figure, axes = sheet(*labels, len(tasks), 3, sharex=True, sharey=True)
    for panel, task in zip(axes, tasks, strict=True):
        mine, beside, point = (table[table["task"] == task] for table in (rows, models, chosen))
        bert = beside[beside["model"] == "BERT"].iloc[0]
        curve, beside = (_lost(table, bert) for table in (mine, beside))
        curves.curve(panel, curve, "speedup", band=False)
        curves.papers_curve(panel, curve, "speedup")
        students = beside[beside["model"] == "DistilBERT"]
        marks(panel, students, "speedup", "DistilBERT", "DistilBERT")
        hollow(panel, students["reported_speedup"], students["reported_accuracy"], "DistilBERT")
        panel.set_title("\n".join([f"{task} (n = {bert['test_rows']})", *_chosen(panel, point)]))
        panel.axhline(0, color="black", lw=0.8)
        panel.axhline(TOLERATED_LOSS, color=GREY, lw=0.8, ls="--", label="half a point lost")
    axes[0].set_yscale("symlog", linthresh=TOLERATED_LOSS, linscale=0.6)
    axes[0].yaxis.set(major_locator=FixedLocator(TICKS), minor_locator=NullLocator(), major_formatter="{x:g}")
    ends = [panel.dataLim.intervaly for panel in axes]
    axes[0].set_ylim(1.4 * max(high for _, high in ends), min(low for low, _ in ends) - 0.1)  # a loss points down
    axes[0].set_xlim(left=0)
    kept, sure = (chosen["loss"] <= TOLERATED_LOSS).sum(), (chosen["without_loss"] == "yes").sum()
    text = f"{kept} of {len(chosen)} tasks lose at most half a point at the speed chosen on dev"
    about = [ABOUT.format(sure=sure), curves.UNMEASURED, curves.BELOW_ONE]
    about += [PAPER_NOTE] * bool(rows["reported_accuracy"].notna().any())
    title = heading(rows, text if len(chosen) else "accuracy lost against FLOPs speedup", "figure 3")
    samples = f"{span(models['test_rows'])} test samples"
    return finish(figure, title, note(pd.concat([rows, models]), tables["runs"], *about, samples=samples))


def _lost(rows: pd.DataFrame, bert: pd.Series) -> pd.DataFrame:
    """`rows` with points lost to `bert`, and the paper's to its own, in place of accuracies."""
    columns = ("accuracy", "reported_accuracy")
    return rows.assign(**{column: bert[column] - rows[column] for column in columns})


def _chosen(axes: Axes, rows: pd.DataFrame) -> list[str]:
    """Mark a task's speed chosen on dev, with the interval of what it loses; its line of the panel's title."""
    if rows.empty:
        return []
    lost = rows.assign(accuracy=rows["loss"], accuracy_low=rows["loss_low"], accuracy_high=rows["loss_high"])
    points(axes, lost, "speedup", "FastBERT", "FastBERT at the speed chosen on dev", size=8, fmt="*")
    return [f"{row.loss:.2f} lost at {row.speedup:.1f}×" for row in rows.itertuples()]
