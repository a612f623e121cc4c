"""The checks on tables 1, 2 and 3.

How the paper prints tables 2 and 3, found by trial: the rows of BERT and FastBERT truncate FLOPs and speedup, so the
true FLOPs lie in [printed, printed + 1)M; those of DistilBERT round both, so they lie in [printed − 0.5, printed + 0.5]M.
"""

from collections.abc import Iterator
from math import ceil
from typing import Any

import pandas as pd

from fastbert_core.flops import FLOPS_PER_MAC, PAPER_TOKENS, paper_operations
from fastbert_core.tasks import get_task
from reproductions import reported
from reproductions.audit.check import (
    DEEPEST,
    DENSE,
    DIGITISED,
    EXECUTED,
    TEST_SIZES,
    Check,
    Row,
    around,
    make_check,
    truncated,
)
from reproductions.table1 import BERT_BASE


def check_table1() -> Iterator[Check]:
    """Each operation by arithmetic, printed to one decimal (some are truncated, some rounded), and the totals."""
    operations = paper_operations(BERT_BASE)
    # Table 1 prices the classifier's second fully-connected layer for all tokens.
    operations[-1] = operations[-1]._replace(once=0, per_token=operations[-1].once)
    for block in ("Transformer", "Classifier"):
        exact = {o.name: FLOPS_PER_MAC * o.macs(PAPER_TOKENS) / 1e6 for o in operations if o.block == block}
        exact["total"] = sum(exact.values())
        printed = reported.load("table1").query("block == @block").set_index("operation")["mflops"].dropna()
        for operation, mflops in printed.items():
            right = round(exact[operation], 1)
            bounds, text = (truncated(exact[operation], 1), right), f"2 × MACs = {exact[operation]:.3f}M"
            yield make_check(("table1", "", block, operation), "arithmetic", mflops, bounds, "mflops", right, text)
        parts = printed.drop("total")
        added = round(parts.sum(), 1)
        text = " + ".join(map(str, parts)) + f" = {added}"
        row = ("table1", "", block, "total")
        yield make_check(row, "sum of the parts", printed["total"], (added, added), "mflops", right, text)


def check_results(name: str) -> Iterator[Check]:
    """The rows of "table2" or "table3": FLOPs, the speedup that follows from them, and figure 3's word on both."""
    figure = reported.load("figure3_speed_accuracy").set_index(["task", "speed"])
    for printed in reported.load(name).itertuples():
        row = (name, printed.task, printed.model, printed.setting)
        drawn = figure.loc[(printed.task, _number(printed.setting))] if printed.model == "FastBERT" else None
        yield _reachable(row, printed, drawn)
        yield _follows(row, printed, drawn)
        if printed.model == "BERT":  # speed 0 never exits, so it gives the teacher's answers
            yield _accuracy(row, printed.accuracy, figure.loc[(printed.task, 0.0)].accuracy)
        if drawn is not None:
            yield _accuracy(row, printed.accuracy, drawn.accuracy)
        if printed.model == "FastBERT" and printed.task == "chnsenticorp":
            yield _whole_layers(row, printed.mflops, TEST_SIZES[printed.task])


def _reachable(row: Row, printed: Any, drawn: pd.Series | None) -> Check:
    """Are the FLOPs those of some number of executed layers?"""
    depth = _number(printed.setting)
    if "speed=" in printed.setting:
        bounds, right = (truncated(EXECUTED), truncated(DEEPEST)), None
        text = f"one executed layer takes {EXECUTED:.2f}M, all twelve {DEEPEST:.2f}M"
        if drawn is not None and printed.mflops > DEEPEST:
            right, leave = _flops_from(printed.speedup, drawn.speedup)
            text = f"{text}; {leave}"
        return make_check(row, "reachable FLOPs", printed.mflops, bounds, "mflops", right, text)
    if printed.model == "DistilBERT":
        layer, classifier = _distilbert(printed.task)
        exact = depth * layer + classifier
        text = f"{depth:g} × {layer:.2f}{f' + {classifier:.2f}' if classifier else ''} = {exact:.2f}M"
        text, right = f"{text}, which is {DENSE / exact:.2f}x", round(exact)
    elif printed.model == "BERT":
        text, right = f"twelve layers and the teacher take {DENSE:.2f}M", truncated(DENSE)
    else:
        text, right = f"{depth:g} × {EXECUTED:.2f} = {depth * EXECUTED:.2f}M", truncated(depth * EXECUTED)
    return make_check(row, "reachable FLOPs", printed.mflops, (right, right), "mflops", right, text)


def _follows(row: Row, printed: Any, drawn: pd.Series | None) -> Check:
    """Does the speedup follow from the FLOPs? If it does not, figure 3 says which of the two is wrong."""
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
    return make_check(row, "speedup from FLOPs", speedup, (low, high), wrong, right, text)


def _accuracy(row: Row, printed: float, drawn: float) -> Check:
    text = f"figure 3 draws {drawn:.2f}"
    return make_check(row, "accuracy in figure 3", printed, around(drawn), "accuracy", drawn, text)


def _whole_layers(row: Row, mflops: float, samples: int) -> Check:
    """Are the FLOPs a whole number of executed layers over the test set? One layer of one sample must show in them."""
    layers = ceil(mflops * samples / EXECUTED)
    right, text = truncated(layers * EXECUTED / samples), f"{layers} layers over {samples} samples"
    return make_check(row, "whole layers", mflops, (right, right), "mflops", right, text)


def _distilbert(task: str) -> tuple[float, float]:
    """FLOPs of a layer and of the classifier as DistilBERT's rows count them: in English none, in Chinese table 1's."""
    parts = paper_operations(BERT_BASE)
    layer = sum(FLOPS_PER_MAC * o.macs(PAPER_TOKENS) for o in parts if o.block == "Transformer") / 1e6
    *linear, dense = (o for o in parts if o.block == "Classifier")
    classifier = FLOPS_PER_MAC * (sum(o.macs(PAPER_TOKENS) for o in linear) + PAPER_TOKENS * dense.once) / 1e6
    return layer, classifier if get_task(task).language == "zh" else 0.0


def _flops_from(printed: float, drawn: float) -> tuple[float, str]:
    """The FLOPs, in whole millions, that a printed (truncated) and a drawn (rounded) speedup leave; and that in words."""
    low = max(DENSE / (printed + 0.01), DENSE / (drawn + DIGITISED))
    high = min(DENSE / printed, DENSE / (drawn - DIGITISED))
    text = f"{printed:.2f}x and figure 3's {drawn:.2f}x leave {low:.0f}M to {high:.0f}M"
    return truncated((low + high) / 2), text


def _number(setting: str) -> float:
    """The number in a setting: 6 of `6 layers`, 2 of `layer=2`, 0.5 of `speed=0.5`."""
    return float(setting.removesuffix(" layers").split("=")[-1])
