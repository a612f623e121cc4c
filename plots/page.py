"""The page that every figure is: a title, panels, a legend, and below them a note of what its numbers come from."""

import math
import textwrap
from collections.abc import Iterable

import pandas as pd
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from fastbert_core.tasks import PAPER_TASKS
from plots.style import GREY, PAPER

WIDTH = 7.2  # inches: the text of a page
TITLE, LEGEND_LINE, NOTE_LINE, GAP = 0.32, 0.18, 0.115, 0.08  # inches
PANEL_HEIGHT, PANEL_SHAPE = 3.2, 0.9  # a panel's greatest height in inches, and its height for each inch of width
LEGEND_COLUMNS = 3
NOTE_CHARACTERS = 145  # a line, of wide ones: digits
MANY = 6  # runs, above which they are only counted
INTERVALS = "Bands and bars are 95% intervals."


def sheet(x: str, y: str, panels: int = 1, columns: int = 1, **sharing: bool) -> tuple[Figure, list[Axes]]:
    """A figure of `panels` axes in up to `columns` columns: (figure, axes).

    x, y: what the axes show, written on the lowest and the leftmost ones. `sharing` goes to `Figure.subplots`.
    """
    columns = min(columns, panels)
    rows = math.ceil(panels / columns)
    figure = Figure(figsize=(WIDTH, rows * min(PANEL_HEIGHT, PANEL_SHAPE * WIDTH / columns)))
    axes = list(figure.subplots(rows, columns, squeeze=False, **sharing).flat)
    for unused in axes[panels:]:
        unused.remove()
    for index, panel in enumerate(axes[:panels]):
        if index % columns == 0:
            panel.set_ylabel(y)
        if index + columns >= panels:
            panel.set_xlabel(x)
            panel.tick_params(labelbottom=True)
    return figure, axes[:panels]


def finish(figure: Figure, title: str, below: str) -> Figure:
    """Grow `figure` by a title above, and below by a legend of everything labelled in its axes and a note.

    None of them overlap. below: the note's text, as `note` gives it
    """
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if PAPER in handles:
        handles[PAPER] = Line2D([], [], color=GREY, marker="o", mfc="none", mew=0.7, ls="")
    lines = [line for part in below.splitlines() for line in textwrap.wrap(part, NOTE_CHARACTERS)]
    note_height = GAP + NOTE_LINE * len(lines)
    footer = note_height + GAP + LEGEND_LINE * math.ceil(len(handles) / LEGEND_COLUMNS)
    body = figure.get_figheight()
    height = TITLE + body + footer
    figure.set_size_inches(WIDTH, height)
    figure.set_layout_engine("constrained", rect=(0, footer / height, 1, body / height))
    figure.get_layout_engine().execute(figure)
    figure.set_layout_engine("none")  # what stands now stays, however often the figure is saved
    for axes in figure.axes:
        # The solver's last bits differ from run to run, and would show in the SVG's ids.
        axes.set_position([round(edge, 9) for edge in axes.get_position(original=True).bounds])
    figure.text(0.01, 1 - GAP / height, title, weight="bold", size=9, va="top")
    figure.text(0.01, note_height / height, "\n".join(lines), size=6, color=GREY, va="top", linespacing=1.2)
    if handles:
        figure.legend(
            handles.values(),
            handles,
            loc="lower center",
            bbox_to_anchor=(0.5, (note_height + GAP / 2) / height),
            ncols=LEGEND_COLUMNS,
            frameon=False,
            borderpad=0,
            borderaxespad=0,
            labelspacing=0.4,
        )
    return figure


def note(rows: pd.DataFrame, runs: pd.DataFrame, *about: str, samples: str = "") -> str:
    """Two lines on the runs behind `rows` (column run_id), and one more, of what the figure says `about` itself.

    samples: said in place of the number of test samples
    """
    behind, said = runs_behind(rows, runs), " ".join(about)
    if behind.empty:  # of a model that is not ours
        return f"A trace from elsewhere: {_listed(rows['task'])}, {_listed(rows['run_id'])}.\n{said}"
    names = list(dict.fromkeys(behind["run_id"]))
    code = [
        (sha or "unknown")[:7] + (" with changes" if dirty == "yes" else "")
        for sha, dirty in zip(behind["git_sha"], behind["git_dirty"], strict=True)
    ]
    return (
        f"n = {samples or f'{span(behind.test_rows)} test samples'}; seed {_listed(sorted(behind['seed']))}; "
        f"{span(behind['train_rows'])} training rows. Encoder: {_listed(behind['backbone'])}. "
        f"Text: {_listed(behind['data_source'])}.\n"
        f"Profile {_listed(behind['profile'])}; {'run' if len(names) == 1 else 'runs'} "
        f"{', '.join(names) if len(names) <= MANY else f'{len(names)}, see runs.csv'}; code {_listed(code)}.\n{said}"
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
