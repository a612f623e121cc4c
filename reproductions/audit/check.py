"""What a check of the audit is, and the few numbers that all arithmetic on the paper starts from."""

from math import floor
from typing import NamedTuple

from fastbert_core.flops import dense_flops, paper_flops
from reproductions.table1 import BERT_BASE

# FLOPs in the paper's unit, in millions.
DENSE = dense_flops(BERT_BASE) / 1e6  # 21785.25
EXECUTED = paper_flops(BERT_BASE, 1) / 1e6  # 1853.92: one executed layer with its classifier
DEEPEST = paper_flops(BERT_BASE, BERT_BASE.layers) / 1e6  # 22246.98

DIGITISED = 0.005  # figures 3 and 5 were read to two decimals
TEST_SIZES = {"chnsenticorp": 1200, "book-review": 10000, "ag-news": 7600}  # samples behind a mean


class Check(NamedTuple):
    """A printed number, the interval [low, high] that arithmetic leaves it, and what is wrong if it lies outside.

    misprinted: "mflops", "speedup" or "accuracy"; or the sources that disagree, where no telling which is wrong
    corrected: what should stand there, where arithmetic says it
    Both are empty if the check holds.
    """

    source: str
    task: str
    model: str
    setting: str
    check: str
    printed: float
    low: float
    high: float
    holds: bool
    misprinted: str
    corrected: float | None
    arithmetic: str


Row = tuple[str, str, str, str]  # source, task, model, setting: where a printed number stands


def make_check(
    row: Row, check: str, printed: float, bounds: tuple[float, float], wrong: str, right: float | None, arithmetic: str
) -> Check:
    """A Check that holds if `printed` lies within `bounds`; if not, `wrong` is misprinted and should be `right`."""
    low, high = bounds
    if low <= printed <= high:
        return Check(*row, check, printed, low, high, True, "", None, arithmetic)
    return Check(*row, check, printed, low, high, False, wrong, right, arithmetic)


def truncated(number: float, decimals: int = 0) -> float:
    """`number` cut off after so many decimals, as the paper prints the rows of BERT and FastBERT."""
    return floor(number * 10**decimals) / 10**decimals


def around(number: float, tolerance: float = DIGITISED) -> tuple[float, float]:
    """The interval of `tolerance` on both sides; a little wider, so that no decimal's binary form decides."""
    return number - tolerance - 1e-9, number + tolerance + 1e-9
