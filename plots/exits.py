"""Every exit by itself, all tasks: how well it knows its errors, and which of the last layer's it had right."""

import pandas as pd
from matplotlib.figure import Figure

from plots.exit_rules import LINES, of_training
from plots.page import finish, note, sheet
from plots.style import PALETTE, layer_ticks

PANELS = {
    "failure_auroc": "a wrong answer is less sure than a right one (%)",
    "destructive": "of the last layer's errors, right so far (%)",
}
ABOUT = (
    "Left: AUROC of failure by an exit's entropy; 50 is chance. Right: destructive overthinking, the share of the last "
    "layer's errors that some layer up to this one had right, without the last itself."
)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of exits.csv: a line for each task."""
    rows = of_training(tables["exits"])
    figure, axes = sheet("layer", "", len(PANELS), 2, sharex=True)
    for panel, (column, title) in zip(axes, PANELS.items(), strict=True):
        for at, (task, mine) in enumerate(rows.groupby("task")):
            values = 100 * mine[column] if column == "failure_auroc" else mine[column]
            line = LINES[at // len(PALETTE) % len(LINES)]
            panel.plot(mine["layer"], values, ls=line, color=PALETTE[at % len(PALETTE)], label=task)
        panel.set_title(title)
    layer_ticks(axes[0], rows["layer"].max())
    most, title = rows.groupby("task")["destructive"].max(), "every exit by itself"
    if most.notna().any():
        title += f": up to {most.max():.0f}% of the last layer's errors were right before ({most.idxmax()})"
    return finish(figure, title, note(rows, tables["runs"], ABOUT))
