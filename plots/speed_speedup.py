"""How the speedup follows from the speed: the paper's future work asks for a straight line."""

import numpy as np
import pandas as pd
from matplotlib.figure import Figure

from plots import curves
from plots.page import finish, note, runs_behind, sheet, span
from plots.style import GREY, METHODS, hollow


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of speed_accuracy.csv; the line joins the curve's two ends, each title names the largest gap."""
    rows, look = curves.fastbert(tables), METHODS["FastBERT"]
    tasks = rows["task"].unique()
    figure, axes = sheet("speed (uncertainty to leave below)", "FLOPs speedup (×)", len(tasks), 3, sharex=True)
    gaps = {}
    for panel, task in zip(axes, tasks, strict=True):
        mine = rows[rows["task"] == task]
        speed, speedup = mine["speed"].to_numpy(), mine["speedup"].to_numpy()
        line = np.interp(speed, speed[[0, -1]], speedup[[0, -1]])
        worst = np.abs(speedup - line).argmax()
        panel.plot(speed, line, "--", color=GREY, lw=0.8, label="a straight line")
        panel.vlines(speed[worst], *sorted((line[worst], speedup[worst])), color=GREY, lw=0.8)
        panel.plot(speed, speedup, look.line, color=look.color, label="FastBERT")
        hollow(panel, mine["speed"], mine["reported_speedup"])
        gaps[task] = speedup[worst] - line[worst]
        gap = f"{gaps[task]:+.1f}× at speed {speed[worst]:g}"
        samples = span(runs_behind(mine, tables["runs"])["test_rows"])
        panel.set_title(f"{task} (n = {samples})\nlargest gap {gap}")
        panel.set_ylim(bottom=0)
    farthest = max(gaps, key=lambda task: abs(gaps[task]))
    title = f"FLOPs speedup by speed: up to {gaps[farthest]:+.1f}× from a straight line ({farthest})"
    return finish(figure, title, note(rows, tables["runs"], curves.BELOW_ONE))
