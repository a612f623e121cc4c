"""Blocks of the pages on exit rules, trainings, exits, operating points, calibration and tasks beside the paper's."""

import numpy as np
import pandas as pd

from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tasks import TASKS
from reproductions import operating_points
from reproductions.blocks import BLOCKS, Tables, block, markdown
from reproductions.names import SELF_DISTILLATION
from reproductions.reported import load
from reproductions.rules import board
from reproductions.significance import significant
from reproductions.speeds import CHOSEN, EQUAL_FLOPS
from reproductions.task_metrics import FULL, HALF, WITHIN

MANY = 50  # classes from which a threshold of the normalised entropy means another thing than for a few


@block
def leaderboard(tables: Tables) -> str:
    """Every exit rule's means over tasks, of FastBERT's own training."""
    rows = tables["leaderboard"]
    rows = rows[rows["training"] == SELF_DISTILLATION]
    return markdown(board(rows).rename(columns={"rule": f"{rows['task'].nunique()} tasks"}) if len(rows) else [])


@block
def trainings(tables: Tables) -> str:
    """Points over FastBERT's own training under entropy, of every other with exits; * after Holm's correction."""
    rows = _trained(tables).query("exits and training != against")
    return _by_layers(rows[rows["rule"].isin(["entropy", "none"])])


@block
def patience(tables: Tables) -> str:
    """Points of patience over entropy after the same training; * after Holm's correction."""
    return _by_layers(_trained(tables).query("against == 'itself'"))


@block
def shallow(tables: Tables) -> str:
    """Points of each shallow model over FastBERT's own at as many mean layers; * after Holm's correction."""
    lines = []
    for row in _trained(tables).query("not exits").sort_values(["task", "layers", "training"]).itertuples():
        line = {"task": row.task, "model": row.training, "seeds": row.seeds.replace(";", ", ")}
        lines.append(line | {"accuracy": f"{row.accuracy:.2f}", "over FastBERT": _points(row)})
    return markdown(lines)


def _trained(tables: Tables) -> pd.DataFrame:
    """The rows of trainings.csv of both profiles; whether a model has `exits`, and a difference is `significant`."""
    rows = pd.concat([tables[name] for name in ("trainings", "packaged/trainings")])
    rules = rows.groupby(["task", "training"])["rule"]
    return rows.assign(exits=rules.transform("nunique") > 1, significant=significant(rows))


def _by_layers(rows: pd.DataFrame) -> str:
    """A line for each task and training, with a column for each number of layers, the last layer at the end."""
    names = rows["layers"].map("{} layers".format).where(rows["rule"] != "none", "last layer")
    lines = {}
    for name, row in zip(names, rows.itertuples(), strict=True):
        line = {"task": row.task, "training": row.training, "seeds": row.seeds.replace(";", ", ")}
        lines.setdefault((row.task, row.training), line)[name] = _points(row)
    found = pd.DataFrame(lines.values()).fillna("")
    return markdown(found[sorted(found.columns, key="last layer".__eq__)])


def _points(row: object) -> str:
    """A difference of trainings.csv with its interval."""
    ends = f"[{row.difference_low:+.2f}, {row.difference_high:+.2f}]"
    return f"{row.difference:+.2f}{'*' * bool(row.significant)} {ends}"


@block
def encoders(tables: Tables) -> str:
    """FastBERT on several encoders: all layers, the speed chosen on dev, and beside a smaller one at its FLOPs."""
    lines = []
    for name in ("packaged/encoders", "encoders"):
        for (task, backbone), mine in tables[name].groupby(["task", "backbone"]):
            full = mine[mine["setting"].str.endswith(" layers")].iloc[0]
            line = {"task": task, "encoder": f"{backbone}, {full['layers']}x{full['hidden']} {full['family']}"}
            line |= {"regression": f"{full['baseline_accuracy']:.2f}", "all layers": _at(full)}
            chosen, equal = mine[mine["setting"].str.endswith(CHOSEN)], mine[mine["setting"] == EQUAL_FLOPS]
            line["speed chosen on dev"] = "; ".join(map(_held, chosen.to_dict("records")))
            line["at a smaller one's FLOPs"] = "; ".join(map(_held, equal.to_dict("records")))
            lines.append(line)
    return markdown(pd.DataFrame(lines).fillna(""))


def _at(row: dict | pd.Series) -> str:
    return f"{row['accuracy']:.2f} at {row['mflops']:.0f}M"


def _held(row: dict) -> str:
    ends = f"[{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]"
    return f"{_at(row)}, {row['difference']:+.2f} {ends}"


@block
def exits(tables: Tables) -> str:
    """By task, for FastBERT's own training: AUROC at the first, middle and last layer, and overthinking."""
    lines = []
    for task, mine in tables["exits"][tables["exits"]["training"] == SELF_DISTILLATION].groupby("task"):
        some = mine.iloc[[0, len(mine) // 2 - 1, -1]]
        line = {"task": task}
        line |= {f"AUROC, layer {row.layer}": f"{row.failure_auroc:.3f}" for row in some.itertuples()}
        last = mine.iloc[-1]
        names = {"wasteful": "wasteful", "destructive": "destructive", "fell": "fell at the last"}
        lines.append(line | {text: f"{last[name]:.1f}%" for name, text in names.items()})
    return markdown(lines)


BLOCKS |= {
    shown.__name__: lambda tables, shown=shown, name=name: markdown(shown(tables[name]))
    for shown, (name, _) in operating_points.SHOWN.items()
}


@block
def calibration(tables: Tables) -> str:
    """The teacher's confidence beside its accuracy, and what the fitted temperature makes of one speed."""
    rows, lines = tables["calibration"], []
    for (task, seed), mine in rows.groupby(["task", "seed"]):
        own, fitted = (mine[mine["fitted"] == which].iloc[0] for which in ("no", "yes"))
        line = {"task": task, "seed": seed} | {name: f"{own[name]:.2f}" for name in ("accuracy", "confidence")}
        line |= {"ECE": f"{own['ece']:.1f} [{own['ece_low']:.1f}, {own['ece_high']:.1f}]"}
        line |= {"ECE at the temperature": f"{fitted['ece']:.1f}"}
        line |= {"least uncertainty": f"{own['least_uncertainty']:.2f}", "temperature": f"{fitted['temperature']:.2f}"}
        for title, row in ((f"speed {own['speed']:g}", own), ("at the temperature", fitted)):
            line[title] = f"{row['accuracy_at_speed']:.2f} at {row['mean_layers']:.2f} layers"
        lines.append(line)
    return markdown(lines)


@block
def linear(tables: Tables) -> str:
    """How far the speedup is from a straight line in the speed."""
    rows, lines = tables["speed_accuracy"].query("model == 'FastBERT'"), []
    for task, mine in rows.groupby("task"):
        speed, speedup = (mine[name].to_numpy(float) for name in ("speed", "speedup"))
        off = speedup - speedup[0] - (speedup[-1] - speedup[0]) * speed
        worst = np.abs(off).argmax()
        explained = np.corrcoef(speed, speedup)[0, 1] ** 2 if np.ptp(speedup) else 1.0
        at = {f"speed {speed[k]:g}": f"{speedup[k]:.2f}x" for k in (10, 50, 90)}
        far = {"farthest from the line": f"{off[worst]:+.2f}x at speed {speed[worst]:g}"}
        lines.append({"task": task, "R²": f"{explained:.3f}"} | at | far)
    return markdown(lines)


@block
def more_tasks(tables: Tables) -> str:
    """Tasks beside the paper's, by type: each metric at full depth, and what leaving early keeps of the first one."""
    rows, lines = tables["more/task_metrics"], []
    for (kind, task, training, seeds), mine in rows.groupby(["task_type", "task", "training", "seeds"]):
        first, full = TASKS[task].metrics[0], mine[mine["point"] == FULL].set_index("metric")["value"]
        of_first = mine[mine["metric"] == first]
        half, within = (of_first[of_first["point"] == point].set_index("rule") for point in (HALF, WITHIN))
        line = {"type": kind, "task": task, "training": training, "seeds": seeds}
        line["all layers"] = ", ".join(f"{name} {_short(full[name])}" for name in TASKS[task].metrics)
        for point, found in ((HALF, half), (WITHIN, within)):
            line[f"own rule, {point}"] = _kept(found, TASK_TYPES[kind].base)
        best = half["value"].idxmax() if half["value"].notna().any() else ""
        line[f"best rule, {HALF}"] = f"{best}: {_kept(half, best)}" if best else ""
        lines.append(line)
    return markdown(lines)


@block
def elsewhere(tables: Tables) -> str:
    """What other authors print of these tasks, beside ours: their rule, and the type's own, at half of the layers."""
    rows, lines = tables["more/task_metrics"], []
    rows = rows[rows["training"] == SELF_DISTILLATION]
    for told in load("elsewhere").itertuples():
        mine = rows[(rows["task"] == told.task) & (rows["metric"] == TASKS[told.task].metrics[0])]
        if mine.empty:
            continue
        full = mine[mine["point"] == FULL].iloc[0]
        half, own = mine[mine["point"] == HALF].set_index("rule"), TASK_TYPES[full["task_type"]].base
        line = {"task": told.task, "source": told.source, "encoder": told.encoder}
        line |= {"all layers": f"{told.full:.1f}", told.rule: f"{told.early:.1f} at {told.speedup:.2f}x"}
        line |= {"ours, all layers": f"{full['metric']} {_short(full['value'])}"}
        line |= {"ours, their rule": _kept(half, told.rule), "ours, own rule": f"{own}: {_kept(half, own)}"}
        lines.append(line)
    return markdown(lines)


@block
def many_classes(tables: Tables) -> str:
    """Where classes are many: what thresholds that do much on two classes do, by rule, and which would double speed."""
    rows, lines = tables["more/exit_rules"], []
    rows = rows[rows["training"] == SELF_DISTILLATION]
    for task in (task for task in rows["task"].unique() if len(TASKS[task].classes) >= MANY):
        for rule in ("entropy", "entropy-tempered", "max-prob", "max-prob-tempered"):
            curve = rows[(rows["task"] == task) & (rows["rule"] == rule)].sort_values("threshold")
            line = {"task": task, "classes": len(TASKS[task].classes), "rule": rule}
            for threshold in (0.1, 0.3, 0.5, 0.8):
                at = curve[curve["threshold"] <= threshold].iloc[-1]
                line[f"threshold {threshold}"] = f"{at['accuracy']:.2f}, {at['mean_layers']:.1f} layers"
            for target in (2, 4):
                fast = curve[curve["speedup"] >= target]
                line[f"{target}x at"] = f"{fast['threshold'].iloc[0]:.4f}" if len(fast) else ""
            lines.append(line)
    return markdown(lines)


@block
def out_of_scope(tables: Tables) -> str:
    """How often each operating point is sure of a wrong answer, in scope and out of it, beside all layers."""
    lines = []
    for row in tables["more/out_of_scope"].itertuples():
        line = {"task": row.task, "point": row.point, "texts": f"{row.samples:,} {row.scope}"}
        line |= {"layers": f"{row.mean_layers:.1f}", "right": f"{row.accuracy:.2f}"}
        line["sure and wrong"] = f"{row.sure_wrong:.2f} [{row.sure_wrong_low:.2f}, {row.sure_wrong_high:.2f}]"
        more = f"{row.more:+.2f} [{row.more_low:+.2f}, {row.more_high:+.2f}]"
        line["more than all layers"] = "" if pd.isna(row.more) else more
        lines.append(line | {"AUROC of scope": f"{row.scope_auroc:.3f}"})
    return markdown(lines)


def _kept(rows: pd.DataFrame, rule: str) -> str:
    """What a rule keeps at a point: points lost with their interval, and layers."""
    if rule not in rows.index:
        return ""
    row = rows.loc[rule]
    return f"{row['lost']:+.2f} [{row['lost_low']:+.2f}, {row['lost_high']:+.2f}], {row['mean_layers']:.1f} layers"


def _short(value: float) -> str:
    return "undefined" if pd.isna(value) else f"{value:.2f}"
