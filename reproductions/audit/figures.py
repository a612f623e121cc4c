"""The checks on figures 3, 5 and 7 and on the numbers in the authors' README."""

from collections.abc import Iterator

import pandas as pd

from reproductions import reported
from reproductions.audit.check import (
    DEEPEST,
    DENSE,
    DIGITISED,
    EXECUTED,
    TEST_SIZES,
    Check,
    around,
    make_check,
    truncated,
)

FIGURE7_SPEEDUP = 6  # "six times", in the text on figure 7


def check_figure3() -> Iterator[Check]:
    """Each speedup is reachable, and no greater than at a higher speed: that can only let samples leave earlier."""
    for task, curve in reported.load("figure3_speed_accuracy").groupby("task", sort=False):
        points = list(curve.sort_values("speed").itertuples())
        for index, point in enumerate(points):
            ceiling = min((later.speedup for later in points[index + 1 :]), default=DENSE / EXECUTED + DIGITISED)
            bounds = (DENSE / DEEPEST - DIGITISED, ceiling)
            text = f"from {DENSE / DEEPEST:.3f}x, all layers of all samples, to {ceiling:.2f}x, the least at a higher speed"
            row = ("figure3", task, "FastBERT", f"speed={point.speed:g}")
            yield make_check(row, "rises with speed", point.speedup, bounds, "speedup", None, text)


def check_figure5() -> Iterator[Check]:
    """The shares of each speed add up to 100, and their mean layer is that of the printed FLOPs."""
    table2 = reported.load("table2").query("model == 'FastBERT'").set_index(["task", "setting"])
    figure3 = reported.load("figure3_speed_accuracy").set_index(["task", "speed"])
    for (task, speed), shares in reported.load("figure5_exit_layers").groupby(["task", "speed"], sort=False):
        setting = f"speed={speed:g}"
        row, total = ("figure5", task, "FastBERT", setting), round(shares["percent"].sum(), 2)
        misread = len(shares) * DIGITISED
        yield make_check(row, "shares", total, around(100, misread), "figure 5", None, "shares add up to 100 per cent")
        mean = (shares["exit_layer"] * shares["percent"]).sum() / total
        misread = shares["exit_layer"].sum() * DIGITISED / 100
        if (task, setting) in table2.index:
            printed, other = table2.loc[(task, setting)], "table 2"
            low, high = printed.mflops / EXECUTED, (printed.mflops + 1) / EXECUTED
        else:
            printed, other = figure3.loc[(task, speed)], "figure 3"
            low, high = (DENSE / (printed.speedup + more) / EXECUTED for more in (DIGITISED, -DIGITISED))
        text = f"{DENSE / (mean * EXECUTED):.2f}x; {other} has {printed.speedup:.2f}x, {low:.3f} to {high:.3f} layers"
        bounds = (low - misread, high + misread)
        yield make_check(row, "mean layers", round(mean, 4), bounds, f"figure 5 or {other}", None, text)


def check_figure7() -> Iterator[Check]:
    """Epoch by epoch against table 2 and the authors' README; "six times" against the FLOPs."""
    figure = reported.load("figure7_convergence")
    table2 = reported.load("table2").set_index(["task", "setting"])
    readme = reported.load("authors_readme").set_index(["task", "distillation_epoch"])
    tuned = figure.query("stage == 'fine-tuning'")
    for point in tuned.itertuples():
        row, bounds = _epoch(point), (truncated(DENSE), truncated(DENSE))
        yield make_check(row, "FLOPs", point.mflops, bounds, "mflops", bounds[0], "no student runs before distillation")
    for point in figure.query("stage == 'self-distillation'").itertuples():
        told = readme.loc[(point.task, point.epoch - tuned["epoch"].max())]
        mflops, wrong = truncated(told.flops / 1e6), "figure 7 or README"
        text = f"the authors' README: {told.accuracy:.2f} with {told.flops / 1e6:.2f}M"
        yield make_check(_epoch(point), "accuracy in README", point.accuracy, around(told.accuracy), wrong, None, text)
        yield make_check(_epoch(point), "FLOPs in README", point.mflops, (mflops, mflops), wrong, None, text)
    for point, setting in ((tuned.iloc[-1], "12 layers"), (figure.iloc[-1], f"speed={figure.iloc[-1].speed:g}")):
        printed = table2.loc[(point.task, setting)]
        wrong, text = "figure 7 or table 2", f"table 2, {setting}: {printed.accuracy:.2f} with {printed.mflops:g}M"
        bounds = (printed.mflops, printed.mflops)
        yield make_check(
            _epoch(point), "accuracy in table 2", point.accuracy, around(printed.accuracy), wrong, None, text
        )
        yield make_check(_epoch(point), "FLOPs in table 2", point.mflops, bounds, wrong, None, text)
    row, right = ("figure7", printed.name[0], "FastBERT", printed.name[1]), round(DENSE / printed.mflops, 2)
    text = f'in words, "six times"; {DENSE:.2f} / {printed.mflops:g} = {right}'
    yield make_check(row, "six times", FIGURE7_SPEEDUP, around(right), "speedup", right, text)


def check_readme() -> Iterator[Check]:
    """The README's mean FLOPs are a whole number of executed layers over the test set: they confirm the unit."""
    distilled = reported.load("authors_readme").query("distillation_epoch > 0")
    for told in distilled.itertuples():
        samples = TEST_SIZES[told.task]
        layers = told.flops / 1e6 / EXECUTED * samples
        row = ("README", told.task, "FastBERT", f"epoch {told.distillation_epoch} of self-distillation")
        text = f"{told.flops / 1e6:.3f}M × {samples} samples / {EXECUTED:.3f}M an executed layer"
        yield make_check(row, "whole layers", round(layers, 4), around(round(layers)), "mflops", None, text)
    for task, last in distilled.groupby("task", sort=False).last().iterrows():
        printed = reported.load("table2").query("task == @task and setting == 'speed=0.5'").iloc[0]
        row, mflops = ("README", task, "FastBERT", "speed=0.5"), truncated(last.flops / 1e6)
        text = f"table 2: {printed.mflops:g}M"
        yield make_check(row, "FLOPs in table 2", mflops, (printed.mflops, printed.mflops), "mflops", None, text)


def _epoch(point: pd.Series) -> tuple[str, str, str, str]:
    return "figure7", point.task, "FastBERT", f"epoch {point.epoch}"
