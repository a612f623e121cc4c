"""The leaderboard as a heat map: every exit rule beside entropy, at equal mean layers, on every task."""

import numpy as np
import pandas as pd
from matplotlib.colors import SymLogNorm
from matplotlib.figure import Figure

from plots.exit_rules import BASES, ORACLES, of_training
from plots.page import finish, note, sheet
from plots.style import GREY
from reproductions.significance import significant

SHADES, WHITE = "RdBu", 0.45  # of the colours' range on either side, where numbers are black
LEAST = 0.5  # points, up to which colours are linear
MEAN = "mean"
ABOUT = (
    "Points of accuracy over entropy (of scores, over spread) at the rule's mean layers, at most a third of all; * "
    "significant on the first seed, after Holm's correction over the tasks, and the interval of all seeds excludes 0. "
    "Thresholds swept on test; rules fitted on dev. Empty: the rule gets to no such cost, or is not for the task."
)


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of leaderboard.csv; the best rule on average stands first."""
    rows = of_training(tables["leaderboard"])
    rows = rows[~rows["rule"].isin({*BASES, *ORACLES})]
    wide = rows.pivot(index="rule", columns="task", values="difference")
    sure = rows.assign(sure=significant(rows) != 0).pivot(index="rule", columns="task", values="sure").eq(True)
    if wide.shape[1] > 1:
        wide[MEAN] = wide.mean(axis=1, skipna=False)
    order = wide[wide.columns[-1]].sort_values(ascending=False, na_position="last").index
    wide, sure = wide.loc[order], sure.reindex(index=order, columns=wide.columns, fill_value=False)
    figure, (axes,) = sheet("", "exit rule")
    figure.set_figheight(0.6 + 0.17 * len(wide))
    limit = max(float(np.abs(np.nan_to_num(wide)).max()), 2 * LEAST)
    shown = wide.to_numpy(float)
    mesh = axes.imshow(shown, cmap=SHADES, norm=SymLogNorm(LEAST, vmin=-limit, vmax=limit), aspect="auto")
    for (rule, task), value in np.ndenumerate(shown):
        if np.isfinite(value):
            dark = abs(mesh.norm(value) - 0.5) > WHITE - 0.1
            text = "0" if abs(value) < 0.05 else f"{value:+.1f}"
            text += "*" * bool(sure.iloc[rule, task])
            axes.text(task, rule, text, size=5.5, ha="center", va="center", color="white" if dark else "black")
    axes.set_xticks(range(wide.shape[1]), wide.columns, rotation=35, ha="right", rotation_mode="anchor")
    axes.set_yticks(range(len(wide)), wide.index)
    if MEAN in wide:
        axes.axvline(wide.shape[1] - 1.5, color=GREY, lw=1)
    axes.grid(False)
    title, best = "exit rules beside entropy", wide.iloc[0, -1]
    if MEAN not in wide:
        title = f"{wide.columns[0]}: {title}"
    elif best > 0:
        ahead = int((sure.iloc[0] & (wide.iloc[0] > 0)).sum())
        title += f": {order[0]} leads, {best:+.2f} points on average, "
        title += f"significant on {ahead} of {wide.shape[1] - 1} tasks"
    elif np.isfinite(best):
        title += ": none that is for all tasks is ahead on average"
    return finish(figure, title, note(rows, tables["runs"], ABOUT))
