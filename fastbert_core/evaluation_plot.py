"""A picture of what `evaluate` finds: accuracy against speedup."""

import io
import math
from pathlib import Path

import matplotlib
import numpy as np
from matplotlib.figure import Figure

from fastbert_core.exit_metrics import Curve, curve
from fastbert_core.files import write_whole
from fastbert_core.metrics import judged
from fastbert_core.operating_points import costs
from fastbert_core.task_types import SINGLE
from fastbert_core.trace import Trace

PLACES = 500  # that are drawn of a curve
TOLERATED = 0.5  # points, of the title
LINES = ("-", "--", "-.", ":")


def save_plot(trace: Trace, tables: dict, path: Path) -> None:
    """Draw the rows of a trace, and what `evaluate` says of them, into a file of the kind that its name ends in."""
    content = io.BytesIO()
    drawn(trace, tables).savefig(content, format=path.suffix[1:].lower(), dpi=150)
    write_whole(path, content.getvalue())


def drawn(trace: Trace, tables: dict) -> Figure:
    """Curves of the type's own rule and of those in `rules`, if it is there, with the operating points."""
    full, *points = tables["points"]
    base, rules = trace.kind.base, [row["rule"] for row in tables.get("rules", ())]
    cost, of_full = costs(trace)
    dense = of_full.mean()
    speedups = np.linspace(dense / cost[:, -1].mean(), dense / cost[:, 0].mean(), PLACES)

    def found(rule: str) -> Curve:
        scores, answers = judged(trace, rule)
        return curve(scores, trace.quality(answers), cost)

    figure = Figure((9 if rules else 7, 4.5), layout="constrained")
    axes = figure.subplots()
    own = found(base)
    axes.plot(speedups, own.at(dense / speedups), color="black", lw=2, label=base, zorder=2.5)
    for at, rule in enumerate(rule for rule in rules if rule != base):
        color, line = matplotlib.colormaps["tab10"](at % 10), LINES[at // 10 % len(LINES)]
        axes.plot(speedups, found(rule).at(dense / speedups), line, color=color, lw=0.9, label=rule)
    if points:
        lost, intervals = (np.array([point[name] for point in points]) for name in ("lost", "lost_interval"))
        axes.errorbar(
            [point["speedup"] for point in points],
            [point["accuracy"] for point in points],
            np.abs(intervals.T - lost)[::-1],  # the most lost is the lowest accuracy
            fmt="o",
            color="black",
            capsize=2,
            elinewidth=0.8,
            label="operating points,\n95% interval of the loss",
            zorder=3,
        )
    axes.axhline(full["accuracy"], color="grey", ls="--", lw=1, label=f"last layer alone: {full['accuracy']:.2f}")
    axes.set_xlabel("speedup over the model without exits, in multiply-accumulates")
    axes.set_ylabel("accuracy (%)" if trace.kind is SINGLE else "mean quality of the answers (%)")
    most = math.floor(10 * dense / _least_cost(own, full["accuracy"])) / 10
    lost = f"At most {TOLERATED:g} points are lost up to {most:g}x"
    axes.set_title(f"{lost} ({base}, these {len(trace)} rows)", loc="left")
    axes.grid(alpha=0.3)
    if rules:
        figure.legend(loc="outside right center", fontsize=7)
    else:
        axes.legend(loc="lower left", fontsize=8)
    return figure


def _least_cost(found: Curve, full: float) -> float:
    """The least cost down to which no threshold loses more than is tolerated; gains beyond do not count."""
    kept = np.logical_and.accumulate(found.accuracy[::-1] >= full - TOLERATED - 1e-9)  # from the dearest on
    return float(found.cost[::-1][kept][-1])
