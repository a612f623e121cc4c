"""The page that every figure is: a title, panels, a legend and a note, none of which overlap."""

import math
import textwrap

from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from plots.style import GREY, PAPER

WIDTH = 7.2  # inches: the text of a page
TITLE, LEGEND_LINE, NOTE_LINE, GAP = 0.32, 0.18, 0.115, 0.08  # inches
PANEL_HEIGHT, PANEL_SHAPE = 3.2, 0.9  # a panel's greatest height in inches, and its height for each inch of width
LEGEND_COLUMNS = 3
NOTE_CHARACTERS = 145  # a line, of wide ones: digits


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


def finish(figure: Figure, title: str, note: str) -> Figure:
    """Grow `figure` by a title above, and below by a legend of everything labelled in its axes and the note."""
    handles = {
        label: handle for axes in figure.axes for handle, label in zip(*axes.get_legend_handles_labels(), strict=True)
    }
    if PAPER in handles:
        handles[PAPER] = Line2D([], [], color=GREY, marker="o", mfc="none", mew=0.7, ls="")
    lines = [line for part in note.splitlines() for line in textwrap.wrap(part, NOTE_CHARACTERS)]
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
