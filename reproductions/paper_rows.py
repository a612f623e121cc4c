"""A measured row of table 2 or 3 beside the paper's, and the two verdicts on it."""

import pandas as pd

from fastbert_core.flops import BERT_BASE, paper_flops
from fastbert_core.metrics import at_flops
from reproductions.columns import TABLES
from reproductions.comparability import PAPER_DEPTH, Paper, other_data, other_encoder, runs_of
from reproductions.compare import Averaged, compared, paired
from reproductions.names import COMPARED_PROFILES
from reproductions.repeats import SAME
from reproductions.statistics import Interval, difference_of_proportions, paired_interval
from reproductions.verdicts import ACCURACY_MARGIN, LOSS_MARGIN, ONE_SIDED, Excess, excess_error, excess_loss, judge

BERT = ("BERT", f"{PAPER_DEPTH} layers")  # the row of table 2 that every task of the paper has
EXECUTED = paper_flops(BERT_BASE, 1) / 1e6  # millions of FLOPs of an executed layer
AT_CHANCE = "not better than always the most frequent class"
SAME_TEST_SET = 0.7  # how far two models' answers may be correlated that are tested on the same texts
COLUMNS = list(TABLES["table2"])


def paper_row(
    model: str, setting: str, used: Averaged, teacher: Averaged, runs: pd.DataFrame, paper: Paper, note: str = ""
) -> dict:
    """The row of `used`, called `model` at `setting`, in the columns of table 2.

    teacher: our own dense BERT of the same task. note: what is to be said beside data, encoder and misprints.
    """
    task = used.traces[0].metadata["task"]
    behind = runs_of(used.traces, runs)
    dataset, printed = paper.datasets.get(task), paper.printed.get((task, model, setting))
    data = [] if dataset is None else other_data(behind, dataset)
    row = dict.fromkeys(COLUMNS) | {
        "task": task,
        "model": model,
        "setting": setting,
        **used.row(teacher.flops),
        "macro_f1": used.macro_f1,
        "classes_answered": used.classes_answered,
        "train_rows": behind["train_rows"].min(),
        "test_rows": len(used.traces[0].labels),
        "backbone": ";".join(dict.fromkeys(behind["backbone"])),
        "data_sha256": ";".join(dict.fromkeys(behind["data_sha256"])),
    }
    notes = [*data, *([] if dataset is None else other_encoder(behind, dataset)), note]
    if not set(behind["profile"]) <= set(COMPARED_PROFILES):
        notes = [*dict.fromkeys(behind["data_source"]), note]
    if (overlap := behind["overlap_rows"].max()) > 0:
        notes.append(f"{overlap:.0f} training rows left out, their texts stand in the test set")
    if same := used.traces[0].metadata.get(SAME):
        notes.append(f"{same} test rows are one text to the encoder and count once")
    if used.at_chance:
        notes.append(AT_CHANCE)
    if dataset is not None and (task, *BERT) not in paper.printed:
        row["verdict"] = "not comparable"
    if printed is not None:
        row |= _absolute(used, printed, dataset, comparable=not data)
        notes.append(printed["misprint"])
        if model.startswith("FastBERT") and not printed["doubtful"]:
            row |= _relative(setting, used, teacher, printed, dataset, paper)
    return row | {"note": "; ".join(filter(None, notes)) or None}


def _absolute(used: Averaged, printed: pd.Series, dataset: pd.Series, comparable: bool) -> dict:
    """The reported columns, the interval of measured − reported, and what `judged` makes `verdict` of."""
    row = {f"reported_{name}": printed[name] for name in ("accuracy", "mflops", "speedup")}
    if printed["doubtful"] or not comparable:
        return row | {"verdict": "misprint" if printed["doubtful"] else "not comparable"}
    sides = used.accuracy / 100, used.correct.shape[1], printed["accuracy"] / 100, dataset["test_rows"]
    for name, correlation in (("difference", 0.0), ("correlated", SAME_TEST_SET)):
        low, high = difference_of_proportions(*sides, correlation)
        row |= {f"{name}_low": 100 * low, f"{name}_high": 100 * high}
    return row | {"verdict": excess_error(used.accuracy, sides[1], printed["accuracy"], sides[3])}


def _relative(
    setting: str, used: Averaged, teacher: Averaged, printed: pd.Series, dataset: pd.Series, paper: Paper
) -> dict:
    """Our loss at the paper's mean executed layers, the paper's, and what `judged` makes `verdict_relative` of."""
    layers = min(max(printed["corrected_mflops"] / EXECUTED, 1.0), PAPER_DEPTH)
    if setting.startswith("speed="):
        # An operating point of our own curve; a fixed depth is the same for both.
        used = Averaged(used.traces, lambda trace: at_flops(trace, layers * paper_flops(trace.shape, 1)))
    if (pair := paired(teacher, used)) is None:
        return {}
    loss, bounds = compared(pair.first, pair.second), paired_interval(pair.first, pair.second, ONE_SIDED)
    reported = round(paper.printed[printed["task"], *BERT]["accuracy"] - printed["accuracy"], 2)
    discordant = float((pair.first != pair.second).mean())
    ours = loss["difference"], Interval(100 * bounds.low, 100 * bounds.high), discordant
    return {
        "verdict_relative": excess_loss(*ours, reported, int(dataset["test_rows"])),
        "paper_layers": layers,
        "relative_loss": loss["difference"],
        "relative_loss_low": loss["difference_low"],
        "relative_loss_high": loss["difference_high"],
        "reported_loss": reported,
    }


def judged(rows: list[dict]) -> pd.DataFrame:
    """The rows of `paper_row` as a table, in which verdicts are corrected over all of them."""
    for column, margin in (("verdict", ACCURACY_MARGIN), ("verdict_relative", LOSS_MARGIN)):
        family = [row[column] if isinstance(row[column], Excess) else None for row in rows]
        for row, excess, verdict, p in zip(rows, family, *judge(family, margin), strict=True):
            if excess is not None:
                row[column] = verdict
            if column == "verdict_relative" and excess is not None:
                row |= {"excess_loss": excess.value, "excess_half_width": excess.half_width, "worse_p_holm": p}
    return pd.DataFrame(rows)
