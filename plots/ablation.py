"""Table 3 as curves, a task: what self-distillation, its KL direction and adaptive inference are worth."""

import pandas as pd
from matplotlib.figure import Figure

from plots import curves
from plots.page import INTERVALS, comparison, finish, heading, note, sheet
from plots.style import METHODS, hollow, marks, points

FIXED_DEPTH = "FastBERT without adaptive inference"


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of speed_accuracy.csv, table2.csv (whose note says how its data differ) and table3.csv.

    It shows the trainings that there are, and every fixed depth.
    """
    rows, table = tables["speed_accuracy"], tables["table3"]
    figure, (axes,) = sheet("", curves.ACCURACY)
    for model, look in METHODS.items():
        curves.curve(axes, rows, "mean_layers", model)
        found = table[table["model"] == model].sort_values("mean_layers")
        if found.empty:
            continue
        name = model.removeprefix("FastBERT ")
        if model == FIXED_DEPTH:
            axes.plot(found["mean_layers"], found["accuracy"], look.line, color=look.color)
            points(axes, found, "mean_layers", model, f"{name}: fixed depth")
        else:
            speeds = ", ".join(sorted(found["setting"].str.removeprefix("speed=")))
            marks(axes, found, "mean_layers", model, f"{name} at speed {speeds}")
        hollow(axes, found["paper_layers"], found["reported_accuracy"], model)
    curves.label(axes, rows, "mean_layers")
    both = pd.concat([rows["run_id"], table["run_id"]]).to_frame()
    about = note(both, tables["runs"], INTERVALS, curves.UNMEASURED, comparison(tables["table2"], table))
    return finish(figure, heading(rows, _found(table), "table 3"), about)


def _found(table: pd.DataFrame) -> str:
    """What adaptive inference is worth beside the best fixed depth that costs no more, at table 3's slower speed."""
    adaptive = table[table["model"] == "FastBERT"].nlargest(1, "mean_layers")
    fixed = table[table["model"] == FIXED_DEPTH]
    for row in adaptive.itertuples():
        best = fixed.loc[fixed["mean_layers"] <= row.mean_layers, "accuracy"].max()
        if pd.notna(best):
            return f"leaving early is worth {row.accuracy - best:+.2f} points at {row.mean_layers:.1f} layers"
    return "the ablation, at equal cost"
