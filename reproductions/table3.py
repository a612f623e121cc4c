"""The ablation (table 3): FastBERT without self-distillation, without adaptive inference, and with the other KL."""

from collections.abc import Sequence
from functools import partial

import pandas as pd

from fastbert_core.metrics import at_layer, at_speed, dense
from fastbert_core.trace import Trace
from reproductions.compare import Averaged, select, tasks_of
from reproductions.figure3_speed_accuracy import MODELS
from reproductions.paper_rows import Paper, judged, paper_row

PAPER_SPEEDS = (0.2, 0.7)
FIXED_DEPTH = "FastBERT without adaptive inference"
NOTES = {
    "labels": "all classifiers trained on labels",
    "reverse-kl": "KL(student‖teacher), equation 5",
    "authors": "initialisation, AdamW and rates as the authors' code",
}


def table3(traces: Sequence[Trace], runs: pd.DataFrame, paper: Paper) -> pd.DataFrame:
    """`table3.csv`: every training at the paper's two speeds, and FastBERT at every fixed depth, beside the paper's.

    The trainings' whole curves are in speed_accuracy.csv. All losses are against the teacher of the default FastBERT.
    """
    rows = []
    for task in tasks_of(traces):
        fastbert = select(traces, task)
        teacher = Averaged(fastbert, dense)
        for training, model in MODELS.items():
            for speed in PAPER_SPEEDS if (kept := select(traces, task, training)) else ():
                used = Averaged(kept, partial(at_speed, speed=speed))
                rows.append(paper_row(model, f"speed={speed:g}", used, teacher, runs, paper, NOTES.get(training, "")))
        for layer in fastbert[0].metadata["layers"]:
            used = Averaged(fastbert, partial(at_layer, layer=layer))
            rows.append(paper_row(FIXED_DEPTH, f"layer={layer}", used, teacher, runs, paper))
    return judged(rows)
