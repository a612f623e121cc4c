"""A measured row of table 2 or 3 beside the paper's, and the two verdicts on it."""

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import PurePosixPath

import numpy as np
import pandas as pd

from fastbert_core.metrics import Outcome, at_flops, encoder_shape
from fastbert_core.flops import paper_flops
from fastbert_core.trace import Trace
from reproductions.averaged import Averaged
from reproductions.schemas import SCHEMAS
from reproductions.statistics import difference_of_proportions, paired_bootstrap

PAPER_LAYER_MFLOPS = 1853.915136  # one executed layer of the paper's FastBERT
COLUMNS = list(SCHEMAS["table2"].columns)
COMPARED_PROFILES = ("standard", "paper")


@dataclass(frozen=True)
class Paper:
    """What the paper says of a task.

    printed: tables 2 and 3 together (task, model, setting, accuracy, mflops, speedup, and from the audit
        corrected_mflops, doubtful and misprint)
    datasets: the sizes of the paper's data (paper/datasets.csv)
    """

    printed: pd.DataFrame
    datasets: pd.DataFrame

    def row(self, task: str, model: str, setting: str) -> pd.Series | None:
        """The printed row, if there is one."""
        rows = self.printed.query("task == @task and model == @model and setting == @setting")
        return None if rows.empty else rows.iloc[0]

    def dataset(self, task: str) -> pd.Series | None:
        """The paper's data, None for a task that is not the paper's."""
        rows = self.datasets[self.datasets["task"] == task]
        return None if rows.empty else rows.iloc[0]
