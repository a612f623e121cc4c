"""All figures by name, each with the tables it is drawn from."""

from collections.abc import Callable
from typing import NamedTuple

import pandas as pd
from matplotlib.figure import Figure

from plots import (
    ablation,
    budget,
    convergence,
    efficiency,
    encoders,
    exit_layers,
    exit_rules,
    exits,
    grid,
    guarantees,
    leaderboard,
    load,
    luha,
    overview,
    speed_accuracy,
    speed_speedup,
    trainings,
    uncertainty,
)
from reproductions.names import SELF_DISTILLATION

TEST_TRACES = f"*-{SELF_DISTILLATION}-seed*/test.npz"
EPOCH_TRACES = f"*-{SELF_DISTILLATION}-seed*/epoch-*.npz"


class Drawing(NamedTuple):
    """draw: makes the figure from its tables by name, and `runs` where they come from traces
    tables: names of results tables; the first says which tasks there are
    by_task: whether each task has a figure of its own, drawn from its rows alone
    traces: form of the trace files that `python -m reproductions measure` makes the tables from; "" for those that
        not every trace gives, or that another command makes
    """

    draw: Callable[[dict[str, pd.DataFrame]], Figure]
    tables: tuple[str, ...]
    by_task: bool = True
    traces: str = TEST_TRACES


FIGURES = {
    "overview": Drawing(overview.draw, ("speed_accuracy", "table2", "comparisons"), by_task=False),
    "speed_speedup": Drawing(speed_speedup.draw, ("speed_accuracy",), by_task=False),
    "budget": Drawing(budget.draw, ("budget", "speed_accuracy"), by_task=False, traces=""),
    "guarantees": Drawing(guarantees.draw, ("guarantees",), by_task=False, traces=""),
    "speed_accuracy": Drawing(speed_accuracy.draw, ("speed_accuracy", "table2", "comparisons")),
    "luha": Drawing(luha.draw, ("luha",)),
    "exit_layers": Drawing(exit_layers.draw, ("exit_layers",)),
    "exits": Drawing(exits.draw, ("exits",), by_task=False),
    "uncertainty": Drawing(uncertainty.draw, ("uncertainty", "exit_layers")),
    "convergence": Drawing(convergence.draw, ("convergence",), traces=EPOCH_TRACES),
    "ablation": Drawing(ablation.draw, ("speed_accuracy", "table3", "table2")),
    "trainings": Drawing(trainings.draw, ("trainings",), traces=""),
    "encoders": Drawing(encoders.draw, ("encoders",), traces=""),
    "grid": Drawing(grid.draw, ("grid",), traces=""),
    "leaderboard": Drawing(leaderboard.draw, ("leaderboard",), by_task=False, traces=""),
    "exit_rules": Drawing(exit_rules.draw, ("exit_rules",), traces=""),
}
BENCH_FIGURES = {
    "efficiency": Drawing(efficiency.draw, ("efficiency",), by_task=False, traces=""),
    "load": Drawing(load.draw, ("load",), by_task=False, traces=""),
}
