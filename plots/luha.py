"""Figure 4, a task: is a classifier the more accurate, the lower its uncertainty?"""

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.page import finish, heading, note, sheet
from plots.style import METHODS, PALE, hollow, points

COLUMNS = 4
ABOUT = (
    "Bars, verdicts, AUROC (uncertainty as a detector of errors) and rises are of seed {seed}. Bins of 0.1, upper end "
    "excluded; an empty one has no point, one of few samples a pale one. 95% intervals. Rise: the largest of accuracy "
    "from a bin to any later one, in points, and its upper 95% bound, of bins that are not pale."
)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of luha.csv: a panel for each classifier; of further seeds only the accuracies."""
    rows = tables["luha"]
    layers = rows["layer"].unique()
    figure, axes = sheet("uncertainty", "accuracy, share (%)", len(layers), COLUMNS, sharex=True, sharey=True)
    for panel, layer in zip(axes, layers, strict=True):
        _panel(panel, rows[rows["layer"] == layer])
    seed = rows["seed"].min()
    verdicts = rows.loc[rows["seed"] == seed, "verdict"]
    held = (verdicts == "holds").sum()
    text = f"the surer, the more accurate (LUHA): a trend for {held} of {len(layers)} classifiers"
    return finish(figure, heading(rows, text, "figure 4"), note(rows, tables["runs"], ABOUT.format(seed=seed)))


def _panel(axes: Axes, rows: pd.DataFrame) -> None:
    """One classifier: shares as bars, accuracies with intervals, and what the checker says of it."""
    whole, rows = rows[rows["bin"] == "all"], rows[rows["bin"] != "all"]
    rows = rows.assign(middle=rows["bin"].str.partition("-")[0].astype(float) + 0.05)
    classifier, first = rows["classifier"].iloc[0], rows["seed"].min()
    model = "BERT" if classifier == "teacher" else "FastBERT"
    for seed, mine in rows.groupby("seed"):
        filled = mine[mine["samples"] > 0]
        if seed == first:
            axes.bar(mine["middle"], mine["percent"], 0.09, color=PALE, label="share of the samples")
            few = filled["note"] != ""  # it says so of bins of few samples
            points(axes, filled[~few], "middle", model, f"{classifier}'s accuracy", size=3)
            if few.any():
                label = f"pale: {filled.loc[few, 'note'].iloc[0]}"
                points(axes, filled[few], "middle", model, label, size=2, alpha=0.35)
        else:
            axes.plot(filled["middle"], filled["accuracy"], color=METHODS[model].color, lw=0.6, label="other seeds")
    hollow(axes, rows["middle"], rows["reported_accuracy"], model)
    axes.set_title(_title(rows["layer"].iloc[0], whole[whole["seed"] == first]), size=7)
    axes.set(xlim=(0, 1), ylim=(0, 104), xticks=(0, 0.5, 1))


def _title(layer: int, whole: pd.DataFrame) -> str:
    """Like "layer 3: holds, AUROC 0.86" and the largest rise; `whole` is the row on the classifier as a whole."""
    said = [*filter(None, whole["verdict"]), *(f"AUROC {value:.2f}" for value in whole["auroc"].dropna())]
    known = whole.dropna(subset="largest_rise")
    rises = map("rise {:+.1f}, at most {:+.1f}".format, known["largest_rise"], known["largest_rise_high"])
    return "\n".join([f"layer {layer}: {', '.join(said)}", *rises])
