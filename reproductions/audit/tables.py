"""The checks on tables 1, 2 and 3.

How the paper prints tables 2 and 3, found by trial: the rows of BERT and FastBERT truncate FLOPs and speedup, so the
true FLOPs lie in [printed, printed + 1)M; those of DistilBERT round both: [printed − 0.5, printed + 0.5]M.
"""

from collections.abc import Iterator
from math import ceil
from typing import Any

import pandas as pd

from fastbert_core.flops import BERT_BASE, FLOPS_PER_MAC, PAPER_TOKENS, paper_operations
from fastbert_core.tasks import get_task
from reproductions import reported
from reproductions.audit.check import DEEPEST, DENSE, DIGITISED, EXECUTED, TEST_SIZES, Check, Place, around, truncated


def check_table1() -> Iterator[Check]:
    """Each operation by arithmetic, printed to one decimal (some are truncated, some rounded), and the totals."""
    for block, exact in _table1_mflops().items():
        printed = reported.load("table1").query("block == @block").set_index("operation")["mflops"].dropna()
        for operation, mflops in printed.items():
            place, right = Place("table 1", "", block, operation), round(exact[operation], 1)
            bounds, text = (truncated(exact[operation], 1), right), f"2 × MACs = {exact[operation]:.2f}M"
            yield place.check("FLOPs by arithmetic", "mflops", mflops, bounds, text, right)
        parts, total = printed.drop("total"), round(exact["total"], 1)
        added = round(parts.sum(), 1)
        text = f"the printed parts, {' + '.join(map(str, parts))}, add up to {added}M"
        place = Place("table 1", "", block, "total")
        yield place.check("sum of the parts", "mflops", printed["total"], (added, added), text, total)


def check_results(name: str) -> Iterator[Check]:
    """The rows of "table2" or "table3": FLOPs, the speedup that follows from them, and figure 3's word on both."""
    figure = reported.load("figure3_speed_accuracy").set_index(["task", "speed"])
    for printed in reported.load(name).itertuples():
        place = Place(name.replace("table", "table "), printed.task, printed.model, printed.setting)
        drawn = figure.loc[(printed.task, _number(printed.setting))] if printed.model == "FastBERT" else None
        if "speed=" in printed.setting:
            yield check_within_depth(place, printed, drawn)
        else:
            yield from check_fixed_depth(place, printed)
        yield check_speedup(place, printed, drawn)
        if printed.model == "BERT":  # speed 0 never exits, so it gives the teacher's answers
            yield _accuracy(place, printed.accuracy, figure.loc[(printed.task, 0.0)].accuracy)
        if drawn is not None:
            yield _accuracy(place, printed.accuracy, drawn.accuracy)
        if printed.model == "FastBERT" and printed.task == "chnsenticorp":
            yield _whole_layers(place, printed.mflops, TEST_SIZES[printed.task])


def check_within_depth(place: Place, printed: Any, drawn: pd.Series | None) -> Check:
    """Do the FLOPs of adaptive inference lie between one executed layer and all of them?"""
    bounds, right = (truncated(EXECUTED), truncated(DEEPEST)), None
    text = f"one executed layer takes {EXECUTED:.2f}M, all twelve {DEEPEST:.2f}M"
    if drawn is not None and printed.mflops > DEEPEST:
        right, leave = _flops_from(printed.speedup, drawn.speedup)
        text = f"{text}; {leave}"
    return place.check("FLOPs by arithmetic", "mflops", printed.mflops, bounds, text, right)


def check_fixed_depth(place: Place, printed: Any) -> Iterator[Check]:
    """Are FLOPs and speedup those of the layers that the setting names?"""
    depth, cut, ratio = _number(printed.setting), truncated, ""
    if printed.model == "BERT":
        exact, text = DENSE, "twelve layers and the teacher take"
    elif printed.model == "DistilBERT":
        cut, exact = round, depth * TRANSFORMER + (CLASSIFIER if _counts_classifier(printed.task) else 0)
        text = f"{depth:g} × {TRANSFORMER:.2f}{f' + {CLASSIFIER:.2f}' if _counts_classifier(printed.task) else ''} ="
        ratio = "" if _counts_classifier(printed.task) else f"; as a ratio of layers alone {12 / depth:.2f}"
    else:
        exact, text = depth * EXECUTED, f"{depth:g} × {EXECUTED:.2f} ="
    mflops, speedup = cut(exact, 0), cut(DENSE / exact, 2)
    yield place.check("FLOPs by arithmetic", "mflops", printed.mflops, (mflops, mflops), f"{text} {exact:.2f}M", mflops)
    text = f"{DENSE:.2f} / {exact:.2f} = {DENSE / exact:.3f}{ratio}"
    yield place.check("speedup by arithmetic", "speedup", printed.speedup, (speedup, speedup), text, speedup)


def check_speedup(place: Place, printed: Any, drawn: pd.Series | None) -> Check:
    """Does the printed speedup follow from the printed FLOPs? If not, figure 3 says which of the two is wrong."""
    speedup, mflops = printed.speedup, printed.mflops
    if printed.model == "DistilBERT":
        low, right, high = (round(DENSE / flops, 2) for flops in (mflops + 0.5, mflops, mflops - 0.5))
    else:
        low, right = truncated(DENSE / (mflops + 1), 2), truncated(DENSE / mflops, 2)
        high = right
    wrong, text = "speedup", f"{DENSE:.2f} / {mflops:g} = {DENSE / mflops:.3f}"
    if drawn is not None and not low <= speedup <= high:
        text = f"{text}; figure 3 draws {drawn.speedup:.2f}"
        if speedup - DIGITISED <= drawn.speedup <= speedup + 0.01 + DIGITISED:
            wrong, right = "mflops", _flops_from(speedup, drawn.speedup)[0]
    return place.check("speedup from FLOPs", "speedup", speedup, (low, high), text, right, wrong)


def _accuracy(place: Place, printed: float, drawn: float) -> Check:
    return place.check("accuracy in figure 3", "accuracy", printed, around(drawn), f"figure 3 draws {drawn:.2f}")


def _whole_layers(place: Place, mflops: float, samples: int) -> Check:
    """Are the FLOPs a whole number of executed layers over a test set small enough for one layer to show in them?"""
    layers = ceil(mflops * samples / EXECUTED)
    right, text = truncated(layers * EXECUTED / samples), f"{layers} layers over {samples} samples"
    return place.check("whole layers", "mflops", mflops, (right, right), text, right)


def _table1_mflops() -> dict[str, dict[str, float]]:
    """Table 1 by arithmetic: block -> operation -> millions of FLOPs, the second 128->128 layer for all tokens."""
    *operations, dense = paper_operations(BERT_BASE)
    blocks = {"Transformer": {}, "Classifier": {}}
    for operation in (*operations, dense._replace(once=0, per_token=dense.once)):
        blocks[operation.block][operation.name] = FLOPS_PER_MAC * operation.macs(PAPER_TOKENS) / 1e6
    return {block: parts | {"total": sum(parts.values())} for block, parts in blocks.items()}


TRANSFORMER, CLASSIFIER = (parts["total"] for parts in _table1_mflops().values())  # 1811.94, 46.14


def _counts_classifier(task: str) -> bool:
    """DistilBERT's rows count one classifier, as table 1 prices it, for the Chinese tasks and none for the English."""
    return get_task(task).language == "zh"


def _flops_from(printed: float, drawn: float) -> tuple[float, str]:
    """The FLOPs, in whole millions, that a printed (truncated) and a drawn (rounded) speedup leave; that in words."""
    low = max(DENSE / (printed + 0.01), DENSE / (drawn + DIGITISED))
    high = min(DENSE / printed, DENSE / (drawn - DIGITISED))
    text = f"{printed:.2f}x and figure 3's {drawn:.2f}x leave {low:.0f}M to {high:.0f}M"
    return truncated((low + high) / 2), text


def _number(setting: str) -> float:
    """The number in a setting: 6 of `6 layers`, 2 of `layer=2`, 0.5 of `speed=0.5`."""
    return float(setting.removesuffix(" layers").split("=")[-1])
