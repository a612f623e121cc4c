"""Latency under load: percentiles of three ways of serving as the rate of requests grows."""

import pandas as pd
from matplotlib.figure import Figure
from matplotlib.ticker import LogLocator, NullLocator

from plots.page import finish, sheet
from plots.style import GREY, WAYS
from reproductions.machines import class_of

PERCENTILES = {"p50_ms": "-", "p99_ms": "--"}
KEY = ["task", "class", "device", "precision", "arrivals"]
NAMES = {
    "dense": "without exits",
    "waiting": "exits, waiting for the slowest",
    "ours": "exits, re-formed at every layer",
}


def draw(tables: dict[str, pd.DataFrame]) -> Figure:
    """From all rows of bench/load.csv: medians and 99th percentiles, a panel for each model, machine and arrivals."""
    rows = tables["load"].assign(**{"class": tables["load"]["machine"].map(class_of)})
    places = list(rows.groupby(KEY, sort=True))
    figure, axes = sheet("requests a second", "latency (ms)", len(places), 2)
    for panel, ((task, kind, device, precision, arrivals), mine) in zip(axes, places, strict=True):
        panel.axhline(mine["objective_ms"].iloc[0], color=GREY, lw=0.8, ls=":", label="objective")
        for way, line in mine.groupby("way", sort=False):
            line = line.sort_values("rate")
            for column, style in PERCENTILES.items():
                label = f"{NAMES[way]}, {column.removesuffix('_ms')}"
                form = {"color": WAYS[way].color, "marker": WAYS[way].marker, "ls": style}
                panel.plot(line["rate"], line[column], label=label, **form)
        panel.set_xscale("log")
        panel.set_yscale("log")
        for axis in (panel.xaxis, panel.yaxis):
            axis.set(major_locator=LogLocator(subs=(1, 2, 5)), minor_locator=NullLocator(), major_formatter="{x:g}")
        place = kind if device == "cuda" else f"{kind}, {device}"
        panel.set_title(f"{task}:\n{place}, {precision}, {arrivals}")
    machines = "; ".join(sorted(set(rows["machine"])))
    note = (
        "Open-loop arrivals; latency from when a request was due. Objective: the best 99th percentile without exits. "
        f"Client and server share the machine.\n{machines}; {', '.join(sorted({date[:10] for date in rows['date']}))}"
    )
    most = rows.pivot_table("goodput", KEY, "way", "max")
    more = most["ours"] / most["dense"] if {"ours", "dense"} <= {*most} else pd.Series()
    found = f": exits answer {more.min():.1f} to {more.max():.1f} times as many requests in time" * bool(
        more.notna().any()
    )
    return finish(figure, f"Latency under load{found}", note)
