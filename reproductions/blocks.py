"""What the blocks of pages show: each a function of the committed tables that gives Markdown."""

from collections.abc import Callable

import numpy as np
import pandas as pd

from fastbert_core.task_types import TASK_TYPES
from fastbert_core.tasks import TASKS
from reproductions import operating_points
from reproductions.checkout import committed
from reproductions.columns import TABLES, documentation
from reproductions.equal_flops import DISTILBERT, ON_LABELS, ONE_STUDENT
from reproductions.figure4_luha import FEW
from reproductions.paper_rows import AT_CHANCE
from reproductions.rules import board
from reproductions.seeds import DEFAULT
from reproductions.table2 import CHOSEN, PAPER_SPEEDS, TOLERATED_LOSS
from reproductions.tables import read_table, table_path
from reproductions.task_metrics import FULL, HALF, WITHIN
from reproductions.verdicts import ALPHA, VERDICTS

BENCHES = ("efficiency", "stations", "roofline", "agreement", "rates", "memory", "scaling", "rivals", "load")


class Tables(dict[str, pd.DataFrame]):
    """The committed tables by name, each read when it is first asked for; one without a file has no rows.

    Of the tasks beside the paper's, the folder stands before the name.
    """

    def __missing__(self, asked: str) -> pd.DataFrame:
        group, _, name = asked.rpartition("/")
        folder = committed("results", "bench" if name in BENCHES else "standard", group)
        found = table_path(folder, name).is_file()
        self[asked] = read_table(folder, name) if found else pd.DataFrame(columns=list(TABLES[name]))
        return self[asked]


BLOCKS: dict[str, Callable[[Tables], str]] = {"columns": lambda tables: documentation()}


def block(function: Callable[[Tables], str]) -> Callable[[Tables], str]:
    """Register a block under the function's name."""
    BLOCKS[function.__name__] = function
    return function


def markdown(rows: pd.DataFrame | list[dict]) -> str:
    """Rows as a Markdown table; what to say where there are none."""
    table = pd.DataFrame(rows)
    return table.to_markdown(index=False, disable_numparse=True) if len(table) else "Not measured yet."


def _in_order(rows: pd.DataFrame) -> list[str]:
    """The paper's tasks that `rows` are of, in its order."""
    return [task for task in TASKS if task in set(rows["task"])]


def _sides(row: dict) -> dict[str, str]:
    """What a row of equal_flops.csv compares."""
    p = row["mcnemar_p_holm"]
    return {
        "its accuracy": f"{row['against_accuracy']:.2f} at {row['mflops']:.0f}M",
        "FastBERT": f"{row['accuracy']:.2f}",
        "difference": f"{row['difference']:+.2f} [{row['difference_low']:+.2f}, {row['difference_high']:+.2f}]",
        "p": "" if pd.isna(p) else "< 0.0001" if p < 1e-4 else f"{p:.4f}",
    }


def _told(rows: pd.DataFrame) -> str:
    better, worse = _won_and_lost(rows)
    return f"is better in {better} of {len(rows)} comparisons and worse in {worse}"


def _won_and_lost(rows: pd.DataFrame) -> tuple[int, int]:
    """Rows of equal_flops.csv in which FastBERT is significantly better, and worse, after Holm's correction."""
    significant = rows["mcnemar_p_holm"] < ALPHA
    return (significant & (rows["difference"] > 0)).sum(), (significant & (rows["difference"] < 0)).sum()


def _against(tables: Tables, model: str) -> pd.DataFrame:
    return tables["equal_flops"].query("against == @model")


def _chosen(tables: Tables) -> pd.DataFrame:
    """By task: table 2's row at the speed chosen on dev, and that row's difference to BERT of comparisons.csv."""
    rows, pairs = tables["table2"], tables["comparisons"]
    lost = pairs[pairs["against"] == "BERT"][["task", "setting", "difference", "without_loss"]]
    return rows[rows["setting"].str.endswith(CHOSEN)].merge(lost, on=["task", "setting"]).set_index("task")


@block
def headline(tables: Tables) -> str:
    """Five findings, each with the page that shows it whole."""
    chosen, verdicts = _chosen(tables), tables["table2"]["verdict_relative"]
    kept = f"{(chosen['without_loss'] == 'yes').sum()} of {len(chosen)} tasks"
    distilbert, of_classifiers = _against(tables, DISTILBERT), tables["luha"].query("bin == 'all'")["verdict"]
    exits = tables["efficiency"].query("speed > 0")["efficiency"]
    counts = [f"{(verdicts == verdict).sum()} {verdict}" for verdict in VERDICTS]
    better, worse = _won_and_lost(distilbert)
    findings = {
        f"FLOPs at the fastest speed that costs at most {TOLERATED_LOSS} points on dev": (
            f"{chosen['speedup'].median():.1f}x fewer in the median, {chosen['speedup'].min():.1f}x to "
            f"{chosen['speedup'].max():.1f}x; on {kept} the test set's interval of the loss lies below it"
            " ([by task](docs/results.md#what-an-early-exit-costs))"
        ),
        "Loss to the own teacher beside the paper's, at its mean layers": (
            f"{', '.join(counts)} of {(verdicts != '').sum()} ([rule](results/README.md#verdicts))"
        ),
        "Accuracy beside DistilBERT's, at equal FLOPs": (
            f"better in {better} of {len(distilbert)}, worse in {worse}, after Holm's correction"
            " ([by depth](docs/questions.md#does-fastbert-beat-distilbert-at-equal-flops))"
        ),
        "The lower the uncertainty, the higher the accuracy (LUHA)": (
            f"holds for {(of_classifiers == 'holds').sum()} of {len(of_classifiers)} classifiers"
            " ([figure](docs/results.md#luha))"
        ),
        "Measured speedup over FLOPs speedup, in the engine on a CPU": (
            f"{exits.min():.2f} to {exits.max():.2f} ([seconds](docs/performance.md))"
        ),
    }
    return markdown([{"what": what, "found": found} for what, found in findings.items()])


@block
def trained(tables: Tables) -> str:
    """Which tasks' rows are of the trainings that the pages describe: only those tell of each stage in runs.csv."""
    runs = tables["runs"].query("training == 'self-distillation'")
    new, old = (_in_order(runs[(runs["stages"] != "") == told]) for told in (True, False))
    if not old:
        return "All rows are of trainings as described here."
    first = f"Trained as described here: {', '.join(new) or 'none yet'}."
    return f"{first} Trained before, and to be trained again: {', '.join(old)}."


@block
def table2(tables: Tables) -> str:
    """Table 2: accuracy and FLOPs speedup, measured and below it the paper's."""
    settings = {"BERT": ("BERT", "12 layers")}
    settings |= {f"DistilBERT, {n} layers": ("DistilBERT", f"{n} layers") for n in (6, 3, 1)}
    settings |= {f"FastBERT, speed {speed:g}": ("FastBERT", f"speed={speed:g}") for speed in PAPER_SPEEDS}
    rows, lines = tables["table2"], []
    for task in _in_order(rows):
        mine = rows[rows["task"] == task].set_index(["model", "setting"])
        of = f"measured, {mine['train_rows'].max():,} / {mine['test_rows'].max():,} rows"
        for name, who, prefix in ((task, of, ""), ("", "paper", "reported_")):
            numbers = mine[[f"{prefix}accuracy", f"{prefix}speedup"]].reindex(settings.values()).itertuples(index=False)
            cells = ["" if pd.isna(a) else f"{a:.2f}" + ("" if pd.isna(x) else f" · {x:.2f}x") for a, x in numbers]
            lines.append({"task": name, "": who} | dict(zip(settings, cells, strict=True)))
    return markdown(lines)


@block
def dbpedia(tables: Tables) -> str:
    """What `run dbpedia` prints as committed."""
    rows = tables["table2"].query("task == 'dbpedia'")
    forms = {"accuracy": "{:.2f}", "mean_layers": "{:.2f}", "speedup": "{:.2f}x"}
    shown = rows[["model", "setting"]].assign(**{name: rows[name].map(form.format) for name, form in forms.items()})
    return markdown(shown.rename(columns=lambda column: column.replace("_", " ")))


@block
def losses(tables: Tables) -> str:
    """What an early exit costs, by task: at the paper's mean layers beside its loss, and at the speed chosen on dev."""
    chosen, rows, lines = _chosen(tables), tables["table2"].set_index(["task", "setting"]), []
    for task in _in_order(chosen.reset_index()):
        line, own = {"task": task}, chosen.loc[task]
        for speed in PAPER_SPEEDS:
            if (key := (task, f"speed={speed:g}")) in rows.index and (verdict := rows.loc[key, "verdict_relative"]):
                ours, theirs = rows.loc[key, ["relative_loss", "reported_loss"]]
                line[f"at the layers of speed {speed:g}"] = f"{ours:+.2f} (paper {theirs:+.2f}), {verdict}"
        line["chosen on dev"] = own["setting"].removesuffix(CHOSEN).strip().replace("=", " ")
        line["mean layers"] = f"{own['mean_layers']:.1f}"
        lines.append(line | {"speedup": f"{own['speedup']:.1f}x", "loss": f"{0 - own['difference']:+.2f}"})
    return markdown(pd.DataFrame(lines).fillna(""))


@block
def students(tables: Tables) -> str:
    """Accuracy is Σ share of bin × accuracy in bin: a student's difference to the teacher, split into these two."""
    bins = tables["luha"].query("bin != 'all'").assign(right=lambda t: (t["samples"] * t["accuracy"] / 100).round())
    wide = bins.pivot_table(["samples", "right"], ["task", "layer"], "bin", "sum").astype(float)
    lines, lost, by_shares = [], 0, 0
    for task, mine in wide.groupby("task"):
        samples, right = (mine[name].droplevel("task") for name in ("samples", "right"))
        share, accuracy, depth = samples.div(samples.sum(axis=1), axis=0), right / samples, samples.index.max()
        for layer in sorted({1, depth // 2} - {0, depth}):
            gap = accuracy.loc[layer] - accuracy.loc[depth]  # a bin that one side leaves empty counts as shares alone
            full = (samples.loc[[layer, depth]] >= FEW).all()
            whole = 100 * (right.loc[layer].sum() - right.loc[depth].sum()) / samples.loc[depth].sum()
            within = 100 * (gap * (share.loc[layer] + share.loc[depth]) / 2).sum()
            lost, by_shares = lost + (whole < 0), by_shares + (whole < 0 <= within)
            line = {"task": task, "student": f"layer {layer}", "student - teacher": f"{whole:+.2f}"}
            line |= {"from the shares": f"{whole - within:+.2f}", "from accuracy within bins": f"{within:+.2f}"}
            lines.append(line | {"more accurate in": f"{(gap[full] > 0).sum()} of {full.sum()} bins"})
    less = f"{lost} of {len(lines)} students are less accurate than their teacher"
    return f"{less}; within bins, {by_shares} of these are not.\n\n{markdown(lines)}"


@block
def one_student(tables: Tables) -> str:
    """The best student on dev, alone, against adaptive inference at its FLOPs; and all students."""
    rows, lines = _against(tables, ONE_STUDENT), []
    for row in (best := rows[rows["against_setting"].str.endswith(CHOSEN)]).to_dict("records"):
        won, lost = _won_and_lost(rows[rows["task"] == row["task"]])
        layer = row["against_setting"].removesuffix(CHOSEN).strip().replace("=", " ")
        lines.append({"task": row["task"], "best student": layer} | _sides(row) | {"depths won": won, "lost": lost})
    all_won, all_lost = _won_and_lost(rows)
    return (
        f"Against the best student adaptive inference {_told(best)}; of all {len(rows)} students it beats {all_won} "
        f"and loses to {all_lost}.\n\n{markdown(lines)}"
    )


@block
def distilbert(tables: Tables) -> str:
    """FastBERT at the FLOPs of every DistilBERT."""
    rows, table = _against(tables, DISTILBERT), tables["table2"]
    chance = table[table["note"].str.contains(AT_CHANCE, regex=False)].set_index(["task", "setting"]).index
    lines = [
        {"task": row["task"], "DistilBERT": row["against_setting"]}
        | _sides(row)
        | {"": "DistilBERT at chance" if (row["task"], row["against_setting"]) in chance else ""}
        for row in rows.to_dict("records")
    ]
    depths = [f"{depth}: it {_told(mine)}" for depth, mine in rows.groupby("against_setting", sort=False)]
    return f"{'; '.join(depths)}.\n\n{markdown(lines)}"


@block
def on_labels(tables: Tables) -> str:
    """FastBERT against the training on labels alone, at equal FLOPs."""
    rows = _against(tables, ON_LABELS)
    return markdown(
        [{"task": row["task"], "labels": row["against_setting"]} | _sides(row) for row in rows.to_dict("records")]
    )


@block
def leaderboard(tables: Tables) -> str:
    """Every exit rule's means over tasks, of FastBERT's own training."""
    rows = tables["leaderboard"]
    rows = rows[rows["training"] == DEFAULT]
    return markdown(board(rows).rename(columns={"rule": f"{rows['task'].nunique()} tasks"}) if len(rows) else [])


@block
def trainings(tables: Tables) -> str:
    """Points over FastBERT's own training, of every training with exits that has runs; * after Holm's correction."""
    rows, lines = tables["trainings"], []
    deep = rows[rows["rule"] != "none"][["task", "training"]].drop_duplicates().itertuples(index=False)
    for task, training in deep:
        mine = rows[(rows["task"] == task) & (rows["training"] == training)]
        line = {"task": task, "training": training}
        for row in mine.sort_values(["rule", "layers"]).itertuples():
            name = "last layer" if row.rule == "none" else f"{row.rule}, {row.layers} layers"
            line[name] = f"{row.difference:+.2f}{'*' * (row.mcnemar_p_holm < ALPHA)}"
        lines.append(line)
    return markdown(pd.DataFrame(lines).fillna("").to_dict("records"))


@block
def exits(tables: Tables) -> str:
    """Of each task's first, middle and last layer, and of overthinking, by FastBERT's own training."""
    lines = []
    for task, mine in tables["exits"][tables["exits"]["training"] == DEFAULT].groupby("task"):
        some = mine.iloc[[0, len(mine) // 2 - 1, -1]]
        line = {"task": task}
        line |= {f"AUROC, layer {row.layer}": f"{row.failure_auroc:.3f}" for row in some.itertuples()}
        last = mine.iloc[-1]
        names = {"wasteful": "wasteful", "destructive": "destructive", "fell": "fell at the last"}
        lines.append(line | {text: f"{last[name]:.1f}%" for name, text in names.items()})
    return markdown(lines)


BLOCKS |= {
    "asked": lambda tables: markdown(operating_points.asked(tables["budget"])),
    "reached": lambda tables: markdown(operating_points.reached(tables["budget"])),
    "tolerated": lambda tables: markdown(operating_points.tolerated(tables["guarantees"])),
    "promised": lambda tables: markdown(operating_points.promised(tables["guarantees"])),
    "promised_by_layer": lambda tables: markdown(operating_points.promised_by_layer(tables["layer_guarantees"])),
    "drifted": lambda tables: markdown(operating_points.drifted(tables["streams"])),
}


@block
def calibration(tables: Tables) -> str:
    """The teacher's confidence beside its accuracy, and what the fitted temperature makes of one speed."""
    rows, lines = tables["calibration"], []
    for (task, seed), mine in rows.groupby(["task", "seed"]):
        own, fitted = (mine[mine["fitted"] == which].iloc[0] for which in ("no", "yes"))
        line = {
            "task": task,
            "seed": seed,
            "accuracy": f"{own['accuracy']:.2f}",
            "confidence": f"{own['confidence']:.2f}",
        }
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
    for (kind, task, training, seed), mine in rows.groupby(["task_type", "task", "training", "seed"]):
        first, full = TASKS[task].metrics[0], mine[mine["point"] == FULL].set_index("metric")["value"]
        of_first = mine[mine["metric"] == first]
        half, within = (of_first[of_first["point"] == point].set_index("rule") for point in (HALF, WITHIN))
        line = {"type": kind, "task": task, "training": training, "seed": seed}
        line["all layers"] = ", ".join(f"{name} {_short(full[name])}" for name in TASKS[task].metrics)
        for point, found in ((HALF, half), (WITHIN, within)):
            line[f"own rule, {point}"] = _kept(found, TASK_TYPES[kind].base)
        best = half["value"].idxmax() if half["value"].notna().any() else ""
        line[f"best rule, {HALF}"] = f"{best}: {_kept(half, best)}" if best else ""
        lines.append(line)
    return markdown(lines)


def _kept(rows: pd.DataFrame, rule: str) -> str:
    """What a rule keeps at a point: points lost with their interval, and layers."""
    if rule not in rows.index:
        return ""
    row = rows.loc[rule]
    return f"{row['lost']:+.2f} [{row['lost_low']:+.2f}, {row['lost_high']:+.2f}], {row['mean_layers']:.1f} layers"


def _short(value: float) -> str:
    return "undefined" if pd.isna(value) else f"{value:.2f}"
