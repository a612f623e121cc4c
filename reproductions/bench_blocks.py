"""Blocks of the pages on seconds: the benches' tables by class of machine, and what follows from them."""

import math
from collections.abc import Callable
from functools import partial

import pandas as pd

from reproductions.blocks import BLOCKS, Tables, block, markdown
from reproductions.machines import BENCHES, MEASURED, class_of
from reproductions.speeds import TOLERATED_LOSS
from reproductions.tables import printed

BACKLOG = 10**9  # texts
RULES_MAY_COST = 0.03  # of entropy's rate
FEW = 8  # rows of a bench that are shown unfolded
PLACE = ["task", "device", "precision"]  # what tells the models of a machine apart


@block
def measured(tables: Tables) -> str:
    """Which benches were measured where, by which code, when."""
    found = [tables[name][MEASURED].drop_duplicates().assign(table=name) for name in BENCHES if len(tables[name])]
    every = pd.concat(found or [pd.DataFrame(columns=[*MEASURED, "table"])])
    every["commit"] = every["git_sha"].str[:7] + every["git_dirty"].map({"yes": ", with changes"}).fillna("")
    return markdown(every.groupby(["machine", "commit", "date"])["table"].agg(", ".join).reset_index())


def _by_class(rows: pd.DataFrame, told: Callable[[pd.DataFrame], str], folded: bool) -> str:
    """What is told of each class of machines, under its name and its machines; `folded`, to be opened by a click."""
    parts = []
    for kind, mine in rows.groupby(rows["machine"].map(class_of)):
        title = f"{kind} ({'; '.join(sorted(set(mine['machine'])))})"
        around = f"<details>\n<summary>{title}</summary>\n\n", "\n\n</details>"
        before, after = around if folded else (f"{title}:\n\n", "")
        parts.append(f"{before}{told(mine)}{after}")
    return "\n\n".join(parts) or markdown([])


def block_by_class(name: str, folded: bool = False) -> Callable:
    """Register a block of the table `name` under the function's name, which tells of one class of machines."""

    def register(told: Callable[[pd.DataFrame], str]) -> Callable:
        BLOCKS[told.__name__] = lambda tables: _by_class(tables[name], told, folded)
        return told

    return register


@block_by_class("efficiency")
def in_short(rows: pd.DataFrame) -> str:
    """By model, how far seconds follow FLOPs, and what exits cost where none is taken."""
    lines = []
    for place, mine in rows.groupby(PLACE):
        line = {"task, device, precision": ", ".join(place)}
        for batch, of in sorted(mine.groupby("batch"), reverse=True):
            early = of.loc[of["speed"] > 0, "efficiency"]
            line[f"efficiency, batch {batch}"] = f"{early.min():.2f} to {early.max():.2f}"
            line[f"overhead, batch {batch}"] = f"{of['overhead_at_speed_0'].max():.2f}"
        lines.append(line)
    return markdown(pd.DataFrame(lines).fillna(""))


@block_by_class("stations", folded=True)
def stations(rows: pd.DataFrame) -> str:
    """By model, engine and speed, the milliseconds of each station."""
    table = 1000 * rows.pivot_table("seconds", [*PLACE, "engine", "speed"], "station", "sum")
    table = table.assign(all=table.sum(axis=1)).map("{:.0f}".format).reset_index()
    return markdown(table.assign(speed=table["speed"].map("{:.4f}".format)))


@block_by_class("rates")
def rates(rows: pd.DataFrame) -> str:
    """By model, samples a second of each kind of work; tokenisation has no precision."""
    rows = rows.assign(precision=rows["precision"].fillna(""), rate=rows["samples_per_second"].map("{:.1f}".format))
    return markdown(rows.pivot(index=PLACE, columns="what", values="rate").fillna("").reset_index())


@block_by_class("agreement")
def agreement(rows: pd.DataFrame) -> str:
    """By model, over all batches and speeds, how often the engine and the fp32 trace differ, and how far apart."""
    models = rows.groupby(PLACE).agg(
        passes=("samples", "size"),
        samples=("samples", "sum"),
        differing=("differing", "sum"),
        unexcused=("unexcused", "sum"),
        farthest=("farthest", "max"),
        least=("same_label_percent", "min"),
    )
    models["farthest"] = models["farthest"].map("{:.1g}".format, na_action="ignore").fillna("")
    models["least"] = models["least"].map("{:.2f}".format)
    return markdown(models.reset_index().rename(columns={"least": "same label, least percent"}))


@block_by_class("rivals")
def best_dense(rows: pd.DataFrame) -> str:
    """For each task the fastest model without exits, at most TOLERATED_LOSS points less accurate on all test texts."""
    lines, near = [], rows["whole_accuracy"] >= rows["ours_whole_accuracy"] - TOLERATED_LOSS
    for task, mine in rows[near & ~rows["rival"].str.startswith("fastbert==")].groupby("task"):
        best = mine.loc[mine["samples_per_second"].idxmax()]
        line = {"task": task, "fastest": f"{best['rival']}, {best['precision']}, batch {best['batch']}"}
        line |= {"its accuracy": f"{best['whole_accuracy']:.2f}", "ours": f"{best['ours_whole_accuracy']:.2f}"}
        lines.append(line | {"timed": best["samples"], "our samples/s over its": f"{best['ours_over_rival']:.2f}"})
    return markdown(lines)


@block_by_class("rivals", folded=True)
def rivals(rows: pd.DataFrame) -> str:
    """For each task each rival at the faster of its batch sizes, fastest first, and how much faster ours is."""
    parts = []
    for task, mine in rows.sort_values("samples_per_second", ascending=False, kind="stable").groupby("task"):
        best, lines = mine.loc[mine["ours_samples_per_second"].idxmax()], []
        for row in mine.drop_duplicates(["rival", "precision", "ours_batch"]).to_dict("records"):
            line = {name: row[name] for name in ("rival", "precision", "batch")}
            line |= {"samples/s": f"{row['samples_per_second']:.1f}"}
            line |= {"of rounds": _range(row["slowest"], row["fastest"])}
            line |= {"accuracy": _accuracies(row["accuracy"], row["whole_accuracy"])}
            line |= {"ours": f"{row['ours_precision']}, batch {row['ours_batch']}"}
            line |= {"its samples/s": f"{row['ours_samples_per_second']:.1f}"}
            lines.append(line | {"over rival's": f"{row['ours_over_rival']:.2f}"})
        ours = _accuracies(best["ours_accuracy"], best["ours_whole_accuracy"])
        parts.append(f"{task}, {best['samples']} texts, ours {ours}:\n\n{markdown(lines)}")
    return "\n\n".join(parts)


def _range(slowest: float, fastest: float) -> str:
    return "" if pd.isna(slowest) else f"{slowest:.1f} to {fastest:.1f}"


def _accuracies(timed: float, whole: float) -> str:
    return f"{timed:.2f}" + ("" if pd.isna(whole) else f" ({whole:.2f})")


@block_by_class("rule_rates")
def rule_rates(rows: pd.DataFrame) -> str:
    """By model, samples a second with entropy, and how much slower the engine is with other rules."""
    lines = []
    for place, mine in rows.groupby(PLACE):
        entropy, others = mine[mine["rule"] == "entropy"].iloc[0], mine[mine["rule"] != "entropy"]
        slowest = others.loc[others["over_entropy"].idxmin()]
        line = {"task, device, precision": ", ".join(place), "mean layers": f"{entropy['mean_layers']:.1f}"}
        line |= {"with entropy, samples/s": f"{entropy['samples_per_second']:.1f}", "other rules": len(others)}
        line |= {"median over entropy": f"{others['over_entropy'].median():.3f}"}
        line |= {"least": f"{slowest['over_entropy']:.3f} ({slowest['rule']})"}
        lines.append(line | {"within 3%": f"{(others['over_entropy'] >= 1 - RULES_MAY_COST).sum()} of {len(others)}"})
    return markdown(lines)


@block_by_class("load")
def load(rows: pd.DataFrame) -> str:
    """By model and arrivals: how far each way gets within the objective, and its median at low load."""
    lines = []
    for (*place, arrivals), mine in rows.groupby([*PLACE, "arrivals"]):
        objective = mine["objective_ms"].iloc[0]
        most = mine["rate"].where(mine["p99_ms"] <= objective).groupby(mine["way"]).max().fillna(0)
        for way in ("dense", "waiting", "ours"):
            steps = mine[mine["way"] == way].sort_values("rate")
            best = steps.loc[steps["goodput"].idxmax()]
            line = {"task, device, precision": ", ".join(place), "arrivals": arrivals, "way": way}
            line |= {"p99 objective, ms": f"{objective:.0f}", "rate within it": f"{most[way]:.1f}"}
            line |= {"over dense's": f"{most[way] / most['dense']:.2f}"}
            line |= {"best goodput": f"{best['goodput']:.1f}", "at utilisation": f"{best['utilisation']:.2f}"}
            lines.append(line | {"p50 at the lowest rate, ms": f"{steps['p50_ms'].iloc[0]:.0f}"})
    return markdown(lines)


@block
def backlog(tables: Tables) -> str:
    """What a backlog of BACKLOG texts takes: the measured rates of the largest batch, multiplied out."""
    return _by_class(tables["efficiency"], partial(_backlog, tables["rates"]), folded=False)


def _backlog(rates: pd.DataFrame, rows: pd.DataFrame) -> str:
    rows, lines = rows.query("mode == 'throughput'"), []
    mine = rates[rates["machine"].isin(rows["machine"]) & (rates["what"] == "tracing")]
    tokens = mine.groupby("task")["mean_tokens"].first()
    for place, mine in rows.groupby(PLACE):
        for row in mine[mine["batch"] == mine["batch"].max()].to_dict("records"):
            rate = row["samples_per_second"]
            days = BACKLOG / rate / 86400
            line = {"task, device, precision": ", ".join(place), "mean layers": f"{row['mean_layers']:.1f}"}
            line |= {"tokens a text": "", "tokens a second": ""}
            if (task := place[0]) in tokens.index:
                line["tokens a text"] = f"{tokens[task]:.0f}"
                line["tokens a second"] = f"{rate * tokens[task]:,.0f}"
            line |= {"texts a second": f"{rate:.1f}", "machine-days": f"{days:,.0f}"}
            lines.append(line | {"machines for 7 days": f"{math.ceil(days / 7):,}"})
    return markdown(lines)


def _as_it_is(name: str, tables: Tables) -> str:
    """A bench's table by class of machine, but for the columns that `measured` shows."""

    def told(rows: pd.DataFrame) -> str:
        return markdown(
            printed(rows, name).drop(columns=MEASURED).rename(columns=lambda column: column.replace("_", " "))
        )

    return _by_class(tables[name], told, folded=len(tables[name]) > FEW)


BLOCKS |= {name: partial(_as_it_is, name) for name in BENCHES if name not in BLOCKS}
