"""What the paper reports, as data: the CSVs in `reproductions/paper/`, with layers counted from 1."""

from pathlib import Path

import pandas as pd

from fastbert_core.errors import InputError

FOLDER = Path(__file__).parent / "paper"
NAMES = tuple(sorted(path.stem for path in FOLDER.glob("*.csv")))
LAYERS = 12


def load(name: str) -> pd.DataFrame:
    """The reported numbers of one table or figure, `name` being one of NAMES. Raises InputError for any other name.

    Accuracies and shares are per cent, `mflops` millions, `speedup` against 21785M. Everything is as printed, misprints
    included (see `reproductions.audit.corrected`), but for layers: figure 5 and the student names of figure 4 count
    from 0 in the paper and from 1 here. Figure 4's column `classifier` becomes `layer`, the teacher's being 12.
    """
    if name not in NAMES:
        raise InputError(f"reported numbers: found {name!r}, expected one of {', '.join(NAMES)}")
    table = pd.read_csv(FOLDER / f"{name}.csv")
    if name == "figure5_exit_layers":
        table["exit_layer"] += 1
    if name == "figure4_luha":
        table["classifier"] = table["classifier"].map(_layer)
        table = table.rename(columns={"classifier": "layer"})
    return table


def _layer(classifier: str) -> int:
    """Layer of `Teacher-Classifier` or of `Student-Classifier<index from 0>`."""
    return LAYERS if classifier == "Teacher-Classifier" else int(classifier.removeprefix("Student-Classifier")) + 1
