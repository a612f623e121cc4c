"""What stands below a figure: the samples, seeds, data, encoder and code that it comes from."""

from collections.abc import Iterable

import pandas as pd

from fastbert_core.tasks import PAPER_TASKS

MANY = 6  # runs, above which they are only counted
INTERVALS = "Bands and bars are 95% intervals."


def note(rows: pd.DataFrame, runs: pd.DataFrame, *about: str, samples: str = "") -> str:
    """Two lines on the runs behind `rows` (column run_id), and one more, of what the figure says `about` itself.

    samples: said in place of the number of test samples
    """
    behind = runs_behind(rows, runs)
    if behind.empty:  # of a model that is not ours
        return "\n".join(
            [f"A trace from elsewhere: {_listed(rows['task'])}, {_listed(rows['run_id'])}.", " ".join(about)]
        )
    names = list(dict.fromkeys(behind["run_id"]))
    code = [
        (sha or "unknown")[:7] + (" with changes" if dirty == "yes" else "")
        for sha, dirty in zip(behind["git_sha"], behind["git_dirty"], strict=True)
    ]
    return "\n".join(
        [
            f"n = {samples or f'{span(behind.test_rows)} test samples'}; seed {_listed(behind['seed'])}; "
            f"{span(behind['train_rows'])} training rows. Encoder: {_listed(behind['backbone'])}. "
            f"Text: {_listed(behind['data_source'])}.",
            f"Profile {_listed(behind['profile'])}; {'run' if len(names) == 1 else 'runs'} "
            f"{', '.join(names) if len(names) <= MANY else f'{len(names)}, see runs.csv'}; code {_listed(code)}.",
            " ".join(about),
        ]
    )


def heading(rows: pd.DataFrame, text: str, place: str) -> str:
    """A figure's title, which names the `place` in the paper if one of the tasks of `rows` is the paper's.

    A single task's begins with its name.
    """
    tasks = rows["task"].unique()
    text = f"{tasks[0]}: {text}" if len(tasks) == 1 else text
    return text if PAPER_TASKS.keys().isdisjoint(tasks) else f"{text} ({place})"


def comparison(models: pd.DataFrame, shown: pd.DataFrame) -> str:
    """What table 2 notes on BERT's row, for one task: how the data and encoder differ from the paper's.

    Nothing if none of the rows that are `shown` has the paper's numbers beside it.
    """
    if shown["reported_accuracy"].isna().all():
        return ""
    notes = models.loc[models["model"] == "BERT", "note"]
    return "".join(f"Beside the paper: {text}." for text in notes if text)


def runs_behind(rows: pd.DataFrame, runs: pd.DataFrame) -> pd.DataFrame:
    """The rows of runs.csv that the column run_id of `rows` names."""
    return runs[runs["run_id"].isin(rows["run_id"].str.split(";").explode())]


def span(numbers: Iterable[int]) -> str:
    """The number, or the lowest and the highest of several."""
    low, high = min(numbers), max(numbers)
    return f"{low}" if low == high else f"{low} to {high}"


def _listed(values: Iterable[object]) -> str:
    return ", ".join(map(str, dict.fromkeys(values)))
