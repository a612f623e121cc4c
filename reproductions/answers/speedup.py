"""The speedup as a function of the speed, and as the paper prints it."""

from collections.abc import Sequence

import numpy as np
import pandas as pd

from fastbert_core.metrics import curve
from fastbert_core.trace import Trace
from reproductions import reported
from reproductions.answers.answer import Answer, unanswered
from reproductions.compare import select, tasks_of
from reproductions.figure3_speed_accuracy import SPEEDS


def linear(traces: Sequence[Trace]) -> Answer:
    """Speedup against speed: how far from the straight line that the paper's future work asks for."""
    rows, explained = [], []
    for task in tasks_of(traces):
        speedup = np.mean([curve(trace, SPEEDS)["speedup"] for trace in select(traces, task)], axis=0)
        line = speedup[0] + (speedup[-1] - speedup[0]) * SPEEDS
        worst = int(np.abs(speedup - line).argmax())
        explained.append(np.corrcoef(SPEEDS, speedup)[0, 1] ** 2 if np.ptp(speedup) else 1.0)
        rows.append(
            {
                "task": task,
                "R²": f"{explained[-1]:.3f}",
                **{f"speed {SPEEDS[k]:g}": f"{speedup[k]:.2f}x" for k in (10, 50, 90)},
                "farthest from the line": f"{speedup[worst] - line[worst]:+.2f}x at speed {SPEEDS[worst]:g}",
            }
        )
    if not rows:
        return unanswered("a FastBERT test trace")
    least, most = 100 * min(explained), 100 * max(explained)
    line = f"A straight line explains {least:.1f}% to {most:.1f}% of the speedup's variance."
    about = (
        "By task, over 101 speeds. R² is of the least-squares line; the *line* of the last column joins the two ends "
        "of the curve."
    )
    return Answer(line, pd.DataFrame(rows), about)


def misprint(traces: Sequence[Trace]) -> Answer:
    """Table 3's FLOPs of Yelp.P at speed 0.2, by arithmetic alone."""
    row = (
        reported.corrected().query("task == 'yelp-polarity' and model == 'FastBERT' and setting == 'speed=0.2'").iloc[0]
    )
    return Answer(f"Yes: {row['misprint']}." if row["misprint"] else "No: it follows from the paper's other numbers.")
