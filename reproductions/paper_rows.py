"""A measured row of table 2 or 3 beside the paper's, and the two verdicts on it."""

import pandas as pd

from fastbert_core.flops import BERT_BASE, paper_flops
from fastbert_core.metrics import at_flops, encoder_shape
from reproductions.averaged import Averaged, paired
from reproductions.columns import TABLES
from reproductions.comparability import PAPER_DEPTH, Paper, other_data, other_encoder, runs_of
from reproductions.profiles import COMPARED_PROFILES
from reproductions.statistics import difference_of_proportions

BERT = ("BERT", f"{PAPER_DEPTH} layers")  # the row of table 2 that every task of the paper has
EXECUTED = paper_flops(BERT_BASE, 1) / 1e6  # millions of FLOPs of an executed layer
AT_CHANCE = "not better than always the most frequent class"
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
    if used.at_chance:
        notes.append(AT_CHANCE)
    if dataset is not None and (task, *BERT) not in paper.printed:
        row["verdict"] = "not comparable"
    if printed is not None:
        row |= _absolute(used, printed, dataset, comparable=not data)
        notes.append(printed["misprint"])
        if model.startswith("FastBERT") and not printed["doubtful"]:
            row |= _relative(setting, used, teacher, printed, paper)
    return row | {"note": "; ".join(filter(None, notes)) or None}


def _absolute(used: Averaged, printed: pd.Series, dataset: pd.Series, comparable: bool) -> dict:
    """The reported columns and `verdict`: does the interval of measured − reported contain 0?"""
    row = {f"reported_{name}": printed[name] for name in ("accuracy", "mflops", "speedup")}
    if printed["doubtful"] or not comparable:
        return row | {"verdict": "misprint" if printed["doubtful"] else "not comparable"}
    low, high = difference_of_proportions(
        used.accuracy / 100, used.correct.shape[1], printed["accuracy"] / 100, dataset["test_rows"]
    )
    verdict = "reproduced" if low <= 0 <= high else "deviates"
    return row | {"verdict": verdict, "difference_low": 100 * low, "difference_high": 100 * high}


def _relative(setting: str, used: Averaged, teacher: Averaged, printed: pd.Series, paper: Paper) -> dict:
    """`verdict_relative`: is our loss at the paper's mean executed layers as small as the paper's, or smaller?"""
    layers = min(max(printed["corrected_mflops"] / EXECUTED, 1.0), PAPER_DEPTH)
    if setting.startswith("speed="):
        # An operating point of our own curve; a fixed depth is the same for both.
        used = Averaged(used.traces, lambda trace: at_flops(trace, layers * paper_flops(encoder_shape(trace), 1)))
    loss = paired(teacher, used)
    if loss is None:
        return {}
    reported = round(paper.printed[printed["task"], *BERT]["accuracy"] - printed["accuracy"], 2)
    return {
        "verdict_relative": "reproduced" if round(loss.low, 9) <= reported else "deviates",
        "paper_layers": layers,
        "relative_loss": loss.difference,
        "relative_loss_low": loss.low,
        "relative_loss_high": loss.high,
        "reported_loss": reported,
    }
