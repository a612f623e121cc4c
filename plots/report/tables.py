"""Which tables of a profile the page shows, with which columns."""

from typing import NamedTuple

import pandas as pd

from plots.report.cells import Notes, Table, table
from reproductions.show import below_one
from reproductions.tables import printed


class Shown(NamedTuple):
    """table: name of the results table; columns as in `cells.table`; rows: a query of those that are shown; beside: the
    caption where the paper's numbers stand beside ours, if it is another
    """

    table: str
    caption: str
    columns: dict[str, str]
    rows: str = ""
    beside: str = ""


PAPER_ROW = {
    "model": "{model}",
    "setting": "{setting}",
    "accuracy %": "{accuracy}",
    "95% interval": "{accuracy_low} to {accuracy_high}",
    "paper's accuracy": "{reported_accuracy}",
    "measured − paper's": "{difference_low} to {difference_high}",
    "verdict": "{verdict}",
    "mean layers": "{mean_layers}",
    "paper's layers": "{paper_layers}",
    "FLOPs speedup": "{speedup}",
    "paper's speedup": "{reported_speedup}",
    "loss at the paper's layers": "{relative_loss} ({relative_loss_low} to {relative_loss_high})",
    "paper's loss": "{reported_loss}",
    "relative verdict": "{verdict_relative}",
}
RUNS = Shown(
    "runs",
    "The runs behind this profile",
    {
        "run": "{run_id}",
        "task": "{task}",
        "training": "{training}",
        "seed": "{seed}",
        "started": "{date}",
        "encoder": "{backbone}",
        "text": "{data_source}",
        "training rows": "{train_rows}",
        "test rows": "{test_rows}",
        "precision": "{precision}",
        "device": "{device}, {threads} threads",
        "seconds": "{wall_seconds}",
        "code": "{git_sha}",
        "changed": "{git_dirty}",
        "resumed at": "{resumed_at}",
        "command": "{command}",
    },
)
OF_ALL_TASKS = (
    Shown(
        "table2",
        "Every model and speed",
        {"task": "{task}", **PAPER_ROW},
        beside="Table 2: every model and speed beside the paper's",
    ),
)
OF_A_TASK = (
    Shown(
        "comparisons",
        "FastBERT against the other models, on the same samples",
        {
            "FastBERT at": "{setting}",
            "against": "{against}, {against_setting}",
            "difference, points": "{difference}",
            "95% interval": "{difference_low} to {difference_high}",
            "without loss": "{without_loss}",
            "only FastBERT right": "{only_fastbert_right}",
            "only the other": "{only_other_right}",
            "McNemar's p, Holm": "{mcnemar_p_holm}",
        },
    ),
    Shown("table3", "The ablation", PAPER_ROW, beside="Table 3: the ablation, beside the paper's"),
    Shown(
        "luha",
        "LUHA, by classifier: the lower the uncertainty, the higher the accuracy?",
        {
            "seed": "{seed}",
            "layer": "{layer}",
            "classifier": "{classifier}",
            "accuracy %": "{accuracy}",
            "95% interval": "{accuracy_low} to {accuracy_high}",
            "AUROC": "{auroc}",
            "Spearman": "{spearman}",
            "trend z": "{trend_z}",
            "trend p, Holm": "{trend_p}",
            "verdict": "{verdict}",
        },
        rows="bin == 'all'",
    ),
    Shown(
        "true_macs",
        "True multiply-accumulates of a sample, in millions, on unpadded texts",
        {
            "seed": "{seed}",
            "speed": "{speed}",
            "mean tokens": "{mean_tokens}",
            "padding %": "{padded_percent}",
            "mean layers": "{mean_layers}",
            "speedup, paper's unit": "{speedup}",
            "true speedup": "{true_speedup}",
            "MMACs": "{true_mmacs}",
            "dense": "{dense_true_mmacs}",
            "dense, padded to 128": "{dense_padded_mmacs}",
        },
    ),
)


def shown_table(shown: Shown, rows: pd.DataFrame | None, notes: Notes, task: str = "") -> Table | None:
    """What is to be shown of the table `rows`, of one task if it is named; None if that is nothing.

    Its column `note`, where it has one, goes into `notes`, each of its remarks by itself.
    """
    if rows is None:
        return None
    rows = rows.query(shown.rows) if shown.rows else rows
    rows = rows[rows["task"] == task] if task else rows
    if rows.empty:
        return None
    compared = shown.beside and rows["reported_accuracy"].notna().any()
    remarks = [filter(None, text.split("; ")) for text in rows["note"]] if "note" in rows else []
    numbers = [sorted(notes[remark] for remark in mine) for mine in remarks]
    found = table(printed(rows, shown.table), shown.columns, shown.beside if compared else shown.caption, numbers)
    return found._replace(note=next((notes[line] for line in below_one(rows)), None))
