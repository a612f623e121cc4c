"""What grid.csv tells: what each setting changes of where texts exit, all others equal."""

import itertools

import pandas as pd

# Settings by name, as the authors have them first, today's last. Those of the first stage come first, so that the
# variants that share it follow each other.
AXES = {
    "classifier_init": ("pytorch", "xavier"),
    "bias_correction": (False, True),
    "distillation_epochs": (2, 5, 10),
    "distillation_rate": (2e-4, 1e-3),
}
SPEEDS = (0.5, 0.8)


def effects(rows: pd.DataFrame) -> list[dict]:
    """What each step along an axis does, all else equal: the mean change over the others, and its range."""
    speed, lines = SPEEDS[0], []
    for (task, train_rows), mine in rows[rows["speed"] == speed].groupby(["task", "train_rows"]):
        for axis, values in AXES.items():
            others = [*(name for name in AXES if name != axis), "backbone", "seed"]
            for before, after in itertools.pairwise(written(value) for value in values):
                sides = [mine[mine[axis] == value].set_index(others) for value in (before, after)]
                if sides[0].index.intersection(sides[1].index).empty:
                    continue
                line = {"task": task, "rows": train_rows, "setting": f"{axis}: {before} → {after}"}
                for name, title in (
                    ("teacher", "teacher"),
                    ("first_exit", "layer 1"),
                    ("accuracy", f"speed {speed:g}"),
                    ("mean_layers", f"layers at speed {speed:g}"),
                ):
                    change = (sides[1][name] - sides[0][name]).dropna()
                    line[title] = f"{change.mean():+.2f} ({change.min():+.2f} to {change.max():+.2f})"
                lines.append(line)
    return lines


def written(value: object) -> object:
    """A setting as grid.csv has it."""
    return ("yes" if value else "no") if isinstance(value, bool) else value
