"""The tables of operating points as texts, for the command and for pages: which threshold, and what it keeps."""

from collections.abc import Iterable, Mapping

import numpy as np
import pandas as pd

from reproductions.guarantees import AGREEMENT, LAYER_METHODS, METHODS
from reproductions.rules import BASES

NEVER = "never exits"


def text(tables: Mapping[str, pd.DataFrame]) -> str:
    """What `budget` measured, as the tables of SHOWN to print, but for those that have no rows."""
    rule = " or ".join(sorted(BASES & set(tables["budget"]["rule"]))) or "the own rule"
    parts = [
        f"{title.format(rule=rule)}:\n{found.to_string(index=False)}\n"
        for shown, (name, title) in SHOWN.items()
        if len(found := shown(tables[name]))
    ]
    return "\n".join(parts or ["no model keeps a dev trace, which thresholds are chosen on"])


def asked(rows: pd.DataFrame) -> pd.DataFrame:
    """By task and target: the threshold that dev rows give, and what the test rows come to at it."""
    mine = rows[rows["rule"].isin(BASES) & (rows["unit"] == "FLOPs") & (rows["calibration"] == "dev")]
    cells = [f"{r.threshold:.4f}: {r.speedup:.2f}x, {r.accuracy:.2f}" for r in mine.itertuples()]
    return _wide(mine, [f"{target:g}x" for target in mine["target"]], cells)


def reached(rows: pd.DataFrame) -> pd.DataFrame:
    """By unit, rule and calibration, over tasks and targets: how near to the target, and what the interval covers.

    R² of each model's targets against what was reached, of the best line and of the diagonal: the worst one's; empty
    where no model reaches two targets, and of a line where none comes to two speedups.
    """
    lines = []
    for (unit, rule, calibration), mine in rows.groupby(["unit", "rule", "calibration"]):
        models = [model for _, model in mine.groupby(["task", "seed"])]
        curves = [model for model in models if len(model) > 1]  # a single target lies on every line
        sloped = [model for model in curves if model["speedup"].nunique() > 1]
        ways = (_of_line, sloped), (_of_diagonal, curves)
        line, diagonal = (f"{min(map(of, some)):.4f}" if some else "" for of, some in ways)
        inside = (mine["speedup_low"] <= mine["speedup"]) & (mine["speedup"] <= mine["speedup_high"])
        lines.append(
            {
                "unit": unit,
                "rule": rule,
                "calibrated on": f"{_range(mine['rows'])} rows of {calibration}",
                "models": str(len(models)),
                "R² of a line": line,
                "of the diagonal": diagonal,
                "mean error": f"{mine['error'].abs().mean():.1f}%",
                "worst": f"{mine['error'].abs().max():.1f}%",
                "mean of splits": _percent(mine["split_error"].mean()),
                "in the interval": f"{inside.sum()} of {len(mine)}",
                "of splits": _percent(mine["covered"].mean()),
            }
        )
    return pd.DataFrame(lines)


def tolerated(rows: pd.DataFrame) -> pd.DataFrame:
    """By task and tolerance: Learn-then-Test's threshold of dev rows, the share of test rows lost, and mean layers."""
    mine = rows[(rows["loss"] == AGREEMENT) & (rows["method"] == "learn-then-test") & (rows["calibration"] == "dev")]
    cells = [
        f"{r.threshold:.4f}: {r.lost:.2f}%, {r.mean_layers:.1f} layers" if r.threshold else NEVER
        for r in mine.itertuples()
    ]
    return _wide(mine, [f"at most {epsilon:g}%" for epsilon in mine["epsilon"]], cells)


def promised(rows: pd.DataFrame) -> pd.DataFrame:
    """By loss, rows and tolerance, of draws from the test rows: promises broken, and the layers of both methods."""
    return _kept(rows[rows["draws"] > 1], {"loss": "lost", "rows": "rows", "epsilon": "tolerated"}, METHODS)


def promised_by_layer(rows: pd.DataFrame) -> pd.DataFrame:
    """By tolerance: how often those that left at or before some layer lost more than may be, and mean layers."""
    return _kept(rows, {"epsilon": "tolerated"}, LAYER_METHODS)


def _kept(rows: pd.DataFrame, keys: dict[str, str], methods: Iterable[str]) -> pd.DataFrame:
    """A row for each of what the columns `keys` hold, which are called otherwise here: both methods side by side."""
    forms, lines = {"rows": "{:,}", "epsilon": "{:g}%"}, []
    for values, mine in rows.groupby([*keys]):
        named = zip(keys.items(), values, strict=True)
        line = {name: forms.get(column, "{}").format(value) for (column, name), value in named}
        for method in methods:
            of = mine[mine["method"] == method]
            line[f"{method}: broken"] = f"{of['broken'].mean():.1f}%, at worst {of['broken'].max():.1f}%"
            line[f"{method}: layers"] = f"{of['mean_layers'].mean():.2f}"
        lines.append(line)
    return pd.DataFrame(lines)


def drifted(rows: pd.DataFrame) -> pd.DataFrame:
    """A row for each stream; distances in per cent of the budget."""
    lines = []
    for row in rows.assign(task=_named(rows)).itertuples():
        line = {"task": row.task, "stream": row.stream, "samples": f"{row.samples:,}", "budget": f"{row.budget:g}"}
        for way in ("fixed", "held"):
            line[way] = f"{getattr(row, f'{way}_error'):+.1f}%"
            line[f"{way}, worst 1,000"] = f"{getattr(row, f'{way}_window'):.0f}%"
        line["held at worst"] = f"{row.bound:.1f}%"
        for column, watched in (("alarm_layers", "layers"), ("alarm_scores", "scores")):
            at = getattr(row, column)
            line[f"alarm on {watched}"] = "" if pd.isna(at) else f"{at:.0f}"
        lines.append(line)
    return pd.DataFrame(lines)


def _named(rows: pd.DataFrame) -> pd.Series:
    """Of each row its task, with the seed where the task has several."""
    several = rows.groupby("task")["seed"].transform("nunique") > 1
    return rows["task"] + (", seed " + rows["seed"].astype(str)).where(several, "")


def _wide(rows: pd.DataFrame, names: list[str], cells: list[str]) -> pd.DataFrame:
    """A row for each task, and seed where it has several; cells in columns of those names, in order."""
    wide = pd.DataFrame({"task": list(_named(rows)), "name": names, "cell": cells}).pivot(
        index="task", columns="name", values="cell"
    )
    return wide[list(dict.fromkeys(names))].fillna("").reset_index().rename_axis(columns=None)


def _of_line(rows: pd.DataFrame) -> float:
    return float(np.corrcoef(rows["target"], rows["speedup"])[0, 1] ** 2)


def _of_diagonal(rows: pd.DataFrame) -> float:
    target = rows["target"]
    return float(1 - ((rows["speedup"] - target) ** 2).sum() / ((target - target.mean()) ** 2).sum())


def _range(numbers: pd.Series) -> str:
    low, high = numbers.min(), numbers.max()
    return f"{low:,}" if low == high else f"{low:,} to {high:,}"


def _percent(value: float) -> str:
    return "" if pd.isna(value) else f"{value:.1f}%"


SHOWN = {  # what each shows: of which table, under which title
    asked: ("budget", "threshold of {rule} for a FLOPs speedup, chosen on dev: speedup and accuracy on test"),
    reached: ("budget", "the speedup that was asked, and what new rows come to"),
    tolerated: ("guarantees", "threshold of {rule} that loses no more of the last layer's answers, chosen on dev"),
    promised: ("guarantees", "how often more was lost than may be, of all draws of a task, and mean layers over tasks"),
    promised_by_layer: (
        "layer_guarantees",
        "how often those that left at or before some layer lost more than may be",
    ),
    drifted: ("streams", "streams under a fixed threshold, and with a budget that is held"),
}
