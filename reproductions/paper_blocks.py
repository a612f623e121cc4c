"""Blocks that hold the paper beside what was measured: its tables 2 and 3, and its claims in words."""

import pandas as pd

from reproductions.blocks import Tables, block, in_order, markdown
from reproductions.equal_flops import ALL_DEPTHS, ON_LABELS, ONE_STUDENT
from reproductions.significance import significant
from reproductions.speeds import PAPER_SPEEDS, lost_to_bert

SURE = "0.0-0.1"  # luha.csv's bin of the samples that a classifier is surest of


@block
def table2(tables: Tables) -> str:
    """Table 2: accuracy and FLOPs speedup, measured and below it the paper's."""
    settings = {"BERT": ("BERT", "12 layers")}
    settings |= {f"DistilBERT, {n} layers": ("DistilBERT", f"{n} layers") for n in (6, 3, 1)}
    settings |= {f"FastBERT, speed {speed:g}": ("FastBERT", f"speed={speed:g}") for speed in PAPER_SPEEDS}
    rows, lines = tables["table2"], []
    for task in in_order(rows):
        mine = rows[rows["task"] == task].set_index(["model", "setting"])
        of = f"measured, {mine['train_rows'].max():,} / {mine['test_rows'].max():,} rows"
        for name, who, prefix in ((task, of, ""), ("", "paper", "reported_")):
            numbers = mine[[f"{prefix}accuracy", f"{prefix}speedup"]].reindex(settings.values()).itertuples(index=False)
            cells = ["" if pd.isna(a) else f"{a:.2f}" + ("" if pd.isna(x) else f" · {x:.2f}x") for a, x in numbers]
            lines.append({"task": name, "": who} | dict(zip(settings, cells, strict=True)))
    return markdown(lines)


@block
def table3(tables: Tables) -> str:
    """Table 3, the ablation: the rows that the paper has, each measured and the paper's."""
    lines = []
    for row in tables["table3"].dropna(subset="reported_accuracy").to_dict("records"):
        line = {name: row[name] for name in ("task", "model", "setting")}
        for name, prefix in (("measured", ""), ("paper", "reported_")):
            line[name] = f"{row[f'{prefix}accuracy']:.2f} · {row[f'{prefix}speedup']:.2f}x"
        told = not pd.isna(row["relative_loss"])
        line["loss"] = f"{row['relative_loss']:+.2f} (paper {row['reported_loss']:+.2f})" if told else ""
        lines.append(line | {"verdict on the loss": row["verdict_relative"] or row["verdict"]})
    return markdown(lines)


@block
def in_words(tables: Tables) -> str:
    """What the paper claims in words, and on how many tasks it was found."""
    fastbert = tables["table2"].query("model == 'FastBERT'").set_index("task")
    if fastbert.empty:
        return markdown([])
    lost = lost_to_bert(tables["comparisons"]).set_index(["setting", "task"])
    slow, fast = (fastbert[fastbert["setting"] == f"speed={speed}"]["speedup"] for speed in (0.1, 0.8))
    faster, kept = slow >= 2, lost.loc["speed=0.1", "without_loss"].reindex(slow.index) == "yes"
    cheap, cost = fast >= 7, lost.loc["speed=0.8", "loss"].reindex(fast.index)
    luha, equal, over = tables["luha"], tables["equal_flops"], fastbert["speedup"]
    sure = luha[luha["bin"] == SURE].groupby(["task", "layer"])["percent"].mean().unstack()
    steps, ends = sure.diff(axis=1).iloc[:, 1:], sure.iloc[:, -1] - sure.iloc[:, 0]
    labels = equal[(equal["against"] == ON_LABELS) & (equal["against_setting"] == ALL_DEPTHS)]
    student = significant(equal[equal["against"] == ONE_STUDENT])
    found = {
        "Speed 0.1: 2 to 5 times faster without losing accuracy, on most data sets": (
            f"twice as fast or more on {faster.sum()} of {len(slow)} tasks ({slow.min():.2f}x to {slow.max():.2f}x), "
            f"on {(faster & kept).sum()} of these for less than half a point, by its interval"
        ),
        "7 to 11 times faster with a small loss (speed 0.8)": (
            f"7 times as fast or more on {cheap.sum()} of {len(fast)} tasks ({fast.min():.2f}x to {fast.max():.2f}x), "
            f"for {cost[cheap].min():.1f} to {cost[cheap].max():.1f} points"
        ),
        "1 to 12 times faster, as the speed says": f"{over.min():.2f}x to {over.max():.2f}x",
        "Higher layers are surer": (
            f"at the last layer more samples have an uncertainty below 0.1 than at the first on {(ends > 0).sum()} of "
            f"{len(ends)} tasks; from a layer to the next more do in {(steps > 0).sum().sum()} of {steps.size} steps"
        ),
        "The lower the uncertainty, the higher the accuracy": "see [LUHA](#luha)",
        "Self-distillation helps": (
            f"over all depths on {(labels['difference_low'] > 0).sum()} of {len(labels)} tasks "
            "([by speed](questions.md#does-self-distillation-help))"
        ),
        "Adaptive inference helps": (
            f"at its FLOPs it beats {(student > 0).sum()} of {len(student)} students by themselves and loses to "
            f"{(student < 0).sum()} ([by task](questions.md#why-not-use-one-student-alone))"
        ),
    }
    return markdown([{"the paper": claim, "measured": told} for claim, told in found.items()])
