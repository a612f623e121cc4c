"""Exit rules, a task: accuracy of all of them over mean layers.

So many lines cannot be told apart in one panel: each family of rules has its own, with entropy and chance in it.
"""

from collections.abc import Sequence

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from plots.page import finish, note, sheet
from plots.style import GREY, PALE, PALETTE, layer_ticks
from reproductions.names import SELF_DISTILLATION

BASE, CHANCE = "entropy", "random"
BASES = (BASE, "spread")  # of each task type its own
FAMILIES = {
    "confidence of the layer": ("max-prob", "margin", "energy"),
    "fitted on dev": ("gate", "entropy-tempered", "max-prob-tempered", "margin-tempered"),
    "patience": ("patience", "pcee-2", "pcee-3", "vote", "static-layer"),
    "patience, other answers": ("pcee-2-run", "pcee-2-all", "beem-cost", "beem-accuracy"),
    "change between layers": ("f-pabee-1", "f-pabee-1-published", "f-pabee-2", "f-pabee-2-published"),
    "ensembles": ("mean-ensemble", "geometric-ensemble", "caching"),
}
OTHERS = "other rules"
LINES = ("-", "--", "-.", ":", (0, (4, 1, 1, 1, 1, 1)))
ORACLES = {"oracle-label": "^", "oracle-teacher": "v"}
ABOUT = (
    "All panels have the same axes, entropy and chance. Triangles: oracles that leave at the first right layer (up, "
    "where it lies within the axes) and at the first that agrees with the last (down); no rule can reach them."
)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From one task's rows of exit_rules.csv: a panel for each family of rules that has some."""
    rows = of_training(tables["exit_rules"])
    known = {BASE, CHANCE, *ORACLES, *(rule for rules in FAMILIES.values() for rule in rules)}
    families = FAMILIES | {OTHERS: [rule for rule in rows["rule"].unique() if rule not in known]}
    there = {name: [rule for rule in rules if (rows["rule"] == rule).any()] for name, rules in families.items()}
    there = {name: rules for name, rules in there.items() if rules}
    labels = "mean executed layers", "accuracy on the test set (%)"
    figure, axes = sheet(*labels, len(there), 2, sharex=True, sharey=True)
    curves = rows[~rows["rule"].isin(ORACLES)]
    for panel, (name, rules) in zip(axes, there.items(), strict=True):
        _panel(panel, curves, rules)
        _oracles(panel, rows)
        panel.set_title(name)
    low, high = curves["accuracy"].min(), curves["accuracy"].max()
    axes[0].set_ylim(low - 0.03 * (high - low) - 0.1, high + 0.15 * (high - low) + 0.1)
    layer_ticks(axes[0], round(rows["mean_layers"].max()))
    title = f"{rows['task'].iloc[0]}: {_found(curves)}"
    return finish(figure, title, note(rows, tables["runs"], ABOUT))


def _found(rows: pd.DataFrame) -> str:
    """By how much the best point of all rules is above entropy's within half of the layers.

    It is the best on these very rows; none is called the best. Between the points that are drawn a rule may do better.
    """
    half = rows["mean_layers"].max() / 2
    best = rows[rows["mean_layers"] <= half].groupby("rule")["accuracy"].max()
    if BASE not in best:
        return "accuracy of every exit rule against cost"
    gain = best.max() - best[BASE]
    return f"of the points up to {half:g} layers none is more than {gain:.2f} above entropy's best"


def of_training(rows: pd.DataFrame) -> pd.DataFrame:
    """The rows of FastBERT's own training, or of the first one where it has none."""
    own = rows["training"] == SELF_DISTILLATION
    return rows[own] if own.any() else rows[rows["training"] == rows["training"].iloc[0]]


def _panel(axes: Axes, rows: pd.DataFrame, rules: Sequence[str]) -> None:
    """Some rules, with chance, and with entropy where the type of the task knows it."""
    looks = {CHANCE: (PALE, "-"), BASE: ("black", "-")}
    looks |= {rule: (PALETTE[at % len(PALETTE)], LINES[at % len(LINES)]) for at, rule in enumerate(rules)}
    lines, looks = [], {rule: look for rule, look in looks.items() if (rows["rule"] == rule).any()}
    for rule, (color, line) in looks.items():
        mine = rows[rows["rule"] == rule]
        lines += axes.plot(mine["mean_layers"], mine["accuracy"], ls=line, color=color)
    # Without labels of their own, they stay out of the figure's legend: colours mean something else in each panel.
    axes.legend(lines, looks, loc="lower right", frameon=False, fontsize=6, handlelength=2.5)


def _oracles(axes: Axes, rows: pd.DataFrame) -> None:
    """What no rule can reach, as points: the cheapest row of each oracle."""
    for rule, marker in ORACLES.items():
        mine = rows[rows["rule"] == rule].sort_values("mean_layers")[:1]
        axes.plot(mine["mean_layers"], mine["accuracy"], marker, color=GREY, ms=4)
