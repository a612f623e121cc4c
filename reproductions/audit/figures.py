"""The checks on figures 3, 5 and 7 and on the numbers in the authors' README."""

from collections.abc import Iterator
from typing import Any

from reproductions import reported
from reproductions.audit.check import DEEPEST, DENSE, DIGITISED, EXECUTED, TEST_SIZES, Check, Place, around, truncated

FIGURE7_SPEEDUP = 6  # "six times", in the text on figure 7


def check_figure3() -> Iterator[Check]:
    """Each speedup is reachable, and no greater than at a higher speed: that can only let samples leave earlier."""
    floor = DENSE / DEEPEST - DIGITISED
    for task, curve in reported.load("figure3_speed_accuracy").groupby("task", sort=False):
        points = list(curve.sort_values("speed").itertuples())
        for index, point in enumerate(points):
            ceiling = min((later.speedup for later in points[index + 1 :]), default=DENSE / EXECUTED + DIGITISED)
            place = Place("figure 3", task, "FastBERT", f"speed={point.speed:g}")
            text = f"a higher speed runs no more layers, and the least speedup at one is {ceiling:.2f}x"
            yield place.check("rises with speed", "speedup", point.speedup, (floor, ceiling), text)


def check_figure5() -> Iterator[Check]:
    """The shares of each speed add up to 100, and their mean layer is that of table 2's FLOPs or figure 3's speedup."""
    table2 = reported.load("table2").query("model == 'FastBERT'").set_index(["task", "setting"])
    figure3 = reported.load("figure3_speed_accuracy").set_index(["task", "speed"])
    for (task, speed), shares in reported.load("figure5_exit_layers").groupby(["task", "speed"], sort=False):
        place, total = Place("figure 5", task, "FastBERT", f"speed={speed:g}"), shares["percent"].sum()
        bounds = around(100, len(shares) * DIGITISED)
        yield place.check("shares add up", "percent", round(total, 2), bounds, "shares add up to 100 per cent")
        mean = (shares["exit_layer"] * shares["percent"]).sum() / total
        if (task, place.setting) in table2.index:
            other, printed = "table 2", table2.loc[(task, place.setting)]
            low, high = printed.mflops / EXECUTED, (printed.mflops + 1) / EXECUTED
        else:
            other, printed = "figure 3", figure3.loc[(task, speed)]
            low, high = (DENSE / (printed.speedup + error) / EXECUTED for error in (DIGITISED, -DIGITISED))
        misread = shares["exit_layer"].sum() * DIGITISED / 100
        text = (
            f"that is {DENSE / (mean * EXECUTED):.2f}x; "
            f"{other} has {printed.speedup:.2f}x, {(low + high) / 2:.3f} layers"
        )
        bounds, wrong = (low - misread, high + misread), f"figure 5 or {other}"
        yield place.check("mean layers", "layers", round(mean, 3), bounds, text, misprinted=wrong)


def check_figure7() -> Iterator[Check]:
    """Epoch by epoch against table 2 and the authors' README; "six times" against the FLOPs."""
    figure = reported.load("figure7_convergence")
    tuned, distilled = (figure.query("stage == @stage") for stage in ("fine-tuning", "self-distillation"))
    readme = reported.load("authors_readme").set_index(["task", "distillation_epoch"])
    for point in tuned.itertuples():
        bounds, text = (truncated(DENSE), truncated(DENSE)), "no student runs before distillation"
        yield _epoch(point).check("FLOPs by arithmetic", "mflops", point.mflops, bounds, text, truncated(DENSE))
    for point in distilled.itertuples():
        told = readme.loc[(point.task, point.epoch - len(tuned) + 1)]  # epoch 0 is before any training
        text = f"the README, of this epoch: {told.accuracy:.2f} with {told.flops / 1e6:.2f}M"
        yield from _agrees(point, "README", told.accuracy, truncated(told.flops / 1e6), text)
    table2 = reported.load("table2").set_index(["task", "setting"])
    for point, setting in ((tuned.iloc[-1], "12 layers"), (distilled.iloc[-1], f"speed={distilled.iloc[-1].speed:g}")):
        printed = table2.loc[(point.task, setting)]
        text = f"table 2, {setting}: {printed.accuracy:.2f} with {printed.mflops:g}M"
        yield from _agrees(point, "table 2", printed.accuracy, printed.mflops, text)
    place, right = Place("figure 7", printed.name[0], "FastBERT", printed.name[1]), round(DENSE / printed.mflops, 2)
    text = f'in words, "six times"; {DENSE:.2f} / {printed.mflops:g} = {right}'
    yield place.check("six times", "speedup", FIGURE7_SPEEDUP, around(right), text, right)


def check_readme() -> Iterator[Check]:
    """The README's mean FLOPs are a whole number of executed layers over the test set: they confirm the unit."""
    distilled = reported.load("authors_readme").query("distillation_epoch > 0")
    for told in distilled.itertuples():
        samples = TEST_SIZES[told.task]
        layers = told.flops / 1e6 / EXECUTED * samples
        place = Place("README", told.task, "FastBERT", f"epoch {told.distillation_epoch} of self-distillation")
        text = f"{told.flops:.0f} FLOPs × {samples} samples are {layers:.3f} executed layers"
        yield place.check("whole layers", "layers", round(layers, 3), around(round(layers)), text)
    for task, last in distilled.groupby("task", sort=False).last().iterrows():
        printed = reported.load("table2").query("task == @task and setting == 'speed=0.5'").iloc[0]
        place, bounds = Place("README", task, "FastBERT", "speed=0.5"), (printed.mflops, printed.mflops)
        text = f"table 2 has {printed.mflops:g}M"
        yield place.check("FLOPs in table 2", "mflops", truncated(last.flops / 1e6), bounds, text)


def _epoch(point: Any) -> Place:
    return Place("figure 7", point.task, "FastBERT", f"epoch {point.epoch}")


def _agrees(point: Any, other: str, accuracy: float, mflops: float, text: str) -> Iterator[Check]:
    """A point of figure 7 against another source's accuracy and FLOPs."""
    place, wrong = _epoch(point), f"figure 7 or {other}"
    yield place.check(f"accuracy in {other}", "accuracy", point.accuracy, around(accuracy), text, misprinted=wrong)
    yield place.check(f"FLOPs in {other}", "mflops", point.mflops, (mflops, mflops), text, misprinted=wrong)
