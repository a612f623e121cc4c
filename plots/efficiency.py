"""Whether seconds follow FLOPs: the engine's measured speedup over its speedup in true MACs."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import FixedLocator, NullLocator

from plots.page import finish, sheet
from plots.style import BATCHES, GREY
from reproductions.machines import class_of

PRECISION_LINES = {"fp32": "-", "bf16": "--", "fp16": "-.", "int8": ":"}
TICKS = (1, 2, 4, 8, 16)
LOW, HIGH = 0.5, 1.25  # that the axis shows in any case, so that little looks little


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of bench/efficiency.csv: a panel for each task and machine, a line for each batch and precision."""
    rows = tables["efficiency"].assign(kind=tables["efficiency"]["machine"].map(class_of))
    places = list(rows.groupby(["task", "kind", "device"], sort=True))
    labels = "FLOPs speedup, true MACs (×)", "measured over FLOPs speedup"
    figure, axes = sheet(*labels, len(places), 2, sharey=True)
    for panel, ((task, kind, device), mine) in zip(axes, places, strict=True):
        panel.axhline(1, color=GREY, lw=0.8, ls=":", label="seconds follow FLOPs")
        for (batch, precision), line in mine.groupby(["batch", "precision"], sort=True):
            line, look = line.sort_values("flops_speedup"), BATCHES[max(size for size in BATCHES if size <= batch)]
            form = {"color": look.color, "marker": look.marker, "ls": PRECISION_LINES[precision]}
            panel.plot(line["flops_speedup"], line["efficiency"], label=f"batch {batch}, {precision}", **form)
        panel.set_xscale("log")
        panel.xaxis.set(major_locator=FixedLocator(TICKS), minor_locator=NullLocator(), major_formatter="{x:g}")
        where = kind if device == "cuda" else f"{kind}, {device}"
        panel.set_title(f"{task}, {where}:\nefficiency {_range(mine)}")
    axes[0].set_ylim(min(LOW, 0.95 * rows["efficiency"].min()), max(HIGH, 1.05 * rows["efficiency"].max()))
    about = (
        "Both speedups are over the same engine at speed 0, where every student runs; tokenisation and embedding are "
        f"timed apart. {_samples(rows)}, sampled with seed 7.\n" + "\n".join(_places(rows))
    )
    return finish(figure, f"Efficiency, the measured over the FLOPs speedup: {_range(rows)}", about)


def _samples(rows: pd.DataFrame) -> str:
    """How many texts each mode was timed on."""
    counts = rows[["mode", "samples"]].drop_duplicates().sort_values(["mode", "samples"])
    return "Test texts: " + ", ".join(f"{row.samples:,} ({row.mode})" for row in counts.itertuples())


def _places(rows: pd.DataFrame) -> list[str]:
    """The machines, with the commit and the day of the measurement."""
    places = rows[["machine", "git_sha", "date"]].drop_duplicates()
    return [f"{row.machine}; commit {row.git_sha[:7] or 'unknown'}, {row.date[:10]}" for row in places.itertuples()]


def _range(rows: pd.DataFrame) -> str:
    """The efficiencies above speed 0, lowest to highest."""
    found = rows.loc[rows["speed"] > 0, "efficiency"]
    return f"{found.min():.2f} to {found.max():.2f}" if len(found) else "of speed 0 alone"
