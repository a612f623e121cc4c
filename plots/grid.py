"""What makes texts leave late, a task: layer 1, and speed 0.5, by the students' epochs, under each other setting."""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.page import finish, sheet

SPEED = 0.5
PANELS = {
    "first_exit": "layer 1 alone, accuracy (%)",
    "accuracy": f"speed {SPEED:g}, accuracy (%)",
    "mean_layers": f"speed {SPEED:g}, mean layers",
}
COLORS = {"pytorch": "#D55E00", "xavier": "#0072B2"}
MARKERS = {"no": "s", "yes": "o"}  # whether AdamW's first steps are corrected
LINES = ("--", "-")  # of the lower rate of the students, and of the higher


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From a task's rows of grid.csv."""
    found = tables["grid"][tables["grid"]["speed"] == SPEED]
    rows = found[found["classes_answered"] > 1]
    figure, axes = sheet("epochs of the students", "", len(PANELS), 3)
    for panel, (column, title) in zip(axes, PANELS.items(), strict=True):
        _lines(panel, rows, column)
        panel.set_title(title)
    task, layers = rows["task"].iloc[0], rows["mean_layers"]
    title = f"{task}: texts leave at layer {layers.min():.1f} to {layers.max():.1f} on average, as the model is trained"
    return finish(figure, title, _note(rows, found.drop(rows.index)))


def _lines(panel: Axes, rows: pd.DataFrame, column: str) -> None:
    rates = sorted(rows["distillation_rate"].unique())
    settings = ["classifier_init", "bias_correction", "distillation_rate"]
    for (start, corrected, rate), mine in rows.sort_values("distillation_epochs").groupby(settings):
        adamw = "corrected" if corrected == "yes" else "uncorrected"
        look = {
            "color": COLORS[start],
            "marker": MARKERS[corrected],
            "ls": LINES[rates.index(rate)],
            "ms": 3,
            "lw": 0.9,
        }
        panel.plot(mine["distillation_epochs"], mine[column], label=f"{start}, {adamw}, rate {rate:g}", **look)
    panel.set_xticks(sorted(rows["distillation_epochs"].unique()))


def _note(rows: pd.DataFrame, broken: pd.DataFrame) -> str:
    first, never = rows.iloc[0], broken.drop_duplicates(["classifier_init", "bias_correction"])
    adamw = {"no": "without", "yes": "with"}
    left_out = "".join(
        f" Left out: {row.classifier_init} {adamw[row.bias_correction]} correction, whose teacher answers one class."
        for row in never.itertuples()
    )
    codes = ", ".join(sha[:7] for sha in rows["git_sha"].unique())
    return (
        f"n = {first['judged']} dev rows that chose no epoch; {first['train_rows']} training rows; seed "
        f"{first['seed']}; encoder {first['backbone']}, fine-tuned for {first['fine_tuning_epochs']} epochs at "
        f"{first['fine_tuning_rate']:g} in {first['precision']}; code {codes}. Each line starts its classifiers and "
        "corrects AdamW's first steps, or does not, in fine-tuning and in distillation alike. One seed: lines that are "
        f"close may change places.{left_out}"
    )
