"""Figure 7, a task: accuracy and FLOPs by epoch, through fine-tuning and self-distillation."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from plots.curves import PAPER_DENSE
from plots.note import INTERVALS, note
from plots.page import finish, sheet
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
    _zoom(left, rows)
    left.xaxis.set_major_locator(MaxNLocator(integer=True))
    highest = rows[["flops", "reported_flops"]].max(axis=None)
    right.set(ylabel="FLOPs (% of the dense teacher's)", ylim=(0, 1.05 * highest))  # whole markers
    about = PAPER_NOTE if rows["reported_accuracy"].notna().any() else ""
    samples = f"{rows['samples'].min()} dev rows"
    title = f"{rows['task'].iloc[0]}: training by epoch (figure 7)"
    return finish(figure, title, note(rows, tables["runs"], INTERVALS, KEPT, about, samples=samples))


def _zoom(axes: Axes, rows: pd.DataFrame) -> None:
    """Show the trained model's accuracies, and say in words what lies below them: epoch 0, before training."""
    trained = rows.loc[rows["epoch"] > 0, ["accuracy_low", "accuracy_high", "reported_accuracy"]].stack()
    if trained.empty:
        return
    room = ROOM * max(trained.max() - trained.min(), 1)
    bottom = trained.min() - room
    axes.set_ylim(bottom, min(trained.max() + room, 100.5))
    first = rows[rows["epoch"] == 0]
    owners = {"accuracy": "", "reported_accuracy": "the paper's "}
    below = [f"{owner}{value:.1f}" for column, owner in owners.items() for value in first[column] if value < bottom]
    if below:  # right of the line that comes up from there
        text = f"epoch 0: {', '.join(below)} ↓"
        axes.annotate(text, (1, bottom), (6, 3), textcoords="offset points", size=7)
