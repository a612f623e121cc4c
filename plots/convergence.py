"""Figure 7, a task: accuracy and FLOPs by epoch, through fine-tuning and self-distillation."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.curves import PAPER_DENSE
from plots.page import INTERVALS, finish, heading, note, sheet
from plots.style import METHODS, hollow, points

STAGES = {"fine-tuning": "BERT", "self-distillation": "FastBERT"}  # in fine-tuning the teacher runs alone
PAPER_NOTE = "Ours are accuracies on dev rows, the paper's on its test set."
KEPT = "Self-distillation begins from the fine-tuning epoch that is best on dev."
ROOM = 0.15  # of the accuracies' range, left free above and below


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of convergence.csv. FLOPs are per cent of the dense teacher's, the paper's of its own."""
    rows = tables["convergence"]
    flops, reported = 100 / rows["speedup"], 100 * rows["reported_mflops"] / PAPER_DENSE
    rows = rows.assign(flops=flops, reported_flops=reported, epoch=rows["epoch"].astype(float))
    figure, (left, right) = sheet("epochs trained", "accuracy (%)", 2, 2, sharex=True)
    for stage, mine in rows.groupby("stage"):
        model, speed = STAGES[stage], "".join(f" at speed {speed:g}" for speed in mine["speed"].dropna().unique())
        look, label = METHODS[model], f"{stage}: {model}{speed}"
        left.plot(mine["epoch"], mine["accuracy"], look.line, color=look.color)
        points(left, mine, "epoch", model, label)
        right.plot(mine["epoch"], mine["flops"], look.line, marker=look.marker, color=look.color, label=label)
        hollow(left, mine["epoch"], mine["reported_accuracy"], model)
        hollow(right, mine["epoch"], mine["reported_flops"], model)
    below = _zoom(left, rows)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    highest = rows[["flops", "reported_flops"]].max(axis=None)
    right.set(ylabel="FLOPs (% of the dense teacher's)", ylim=(0, 1.05 * highest))  # whole markers
    paper = PAPER_NOTE if rows["reported_accuracy"].notna().any() else ""
    seeds = rows["seeds"].str.count(";")
    whole = rows[seeds == seeds.max()]  # students of one seed may be flat sooner than another's
    last = whole.loc[whole["epoch"].idxmax()]
    fewer = f"After epoch {last['epoch']:g} some seeds had ended." if len(whole) < len(rows) else ""
    said, samples = (INTERVALS, KEPT, paper, fewer, below), f"{rows['samples'].min()} dev rows"
    text = f"after {last['epoch']:g} epochs {last['accuracy']:.1f}% right at {last['flops']:.0f}% of the FLOPs"
    return finish(figure, heading(rows, text, "figure 7"), note(rows, tables["runs"], *said, samples=samples))


def _zoom(axes: Axes, rows: pd.DataFrame) -> str:
    """Show the trained model's accuracies; epoch 0, which may lie below them, is an arrow then, and said in words."""
    trained = rows.loc[rows["epoch"] > 0, ["accuracy_low", "accuracy_high", "reported_accuracy"]].stack()
    if trained.empty:
        return ""
    room = ROOM * max(trained.max() - trained.min(), 1)
    bottom = trained.min() - room
    axes.set_ylim(bottom, min(trained.max() + room, 100.5))
    first = rows[rows["epoch"] == 0]
    owners = {"accuracy": "", "reported_accuracy": "the paper's "}
    below = [f"{owner}{value:.1f}" for column, owner in owners.items() for value in first[column] if value < bottom]
    if not below:
        return ""
    axes.annotate("↓", (0, bottom), (0, 3), textcoords="offset points", ha="center")
    return f"Below the axis (↓), at epoch 0, before training: {', '.join(below)}."
