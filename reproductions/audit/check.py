"""What a check of the audit is, and the few numbers that all arithmetic on the paper starts from."""

from math import floor
from typing import NamedTuple

from fastbert_core.flops import BERT_BASE, dense_flops, paper_flops

# FLOPs in the paper's unit, in millions.
DENSE = dense_flops(BERT_BASE) / 1e6  # 21785.25
EXECUTED = paper_flops(BERT_BASE, 1) / 1e6  # 1853.92: one executed layer with its classifier
DEEPEST = paper_flops(BERT_BASE, BERT_BASE.layers) / 1e6  # 22246.98

DIGITISED = 0.005  # figures 3 and 5 were read to two decimals
TEST_SIZES = {"chnsenticorp": 1200, "book-review": 10000, "ag-news": 7600}  # samples behind a mean


class Check(NamedTuple):
    """A printed number, the interval [low, high] that arithmetic leaves it, and what is wrong if it lies outside.

    quantity: what the printed number is (mflops, speedup, accuracy, layers, percent)
    misprinted: the quantity that is wrong, which need not be the one looked at; or the two sources that disagree,
        where nothing tells which is wrong
    corrected: what `misprinted` should be, where arithmetic says it
    misprinted and corrected are empty if the check holds.
    """

    source: str
    task: str
    model: str
    setting: str
    check: str
    quantity: str
    printed: float
    low: float
    high: float
    holds: bool
    misprinted: str
    corrected: float | None
    arithmetic: str


class Place(NamedTuple):
    """Where in the paper a printed number stands."""

    source: str
    task: str
    model: str
    setting: str

    def check(
        self,
        name: str,
        quantity: str,
        printed: float,
        bounds: tuple[float, float],
        arithmetic: str,
        corrected: float | None = None,
        misprinted: str | None = None,
    ) -> Check:
        """A Check that holds if `printed` lies within `bounds`; if not, `misprinted` (default: `quantity`) is wrong."""
        low, high = (round(bound, 6) for bound in bounds)
        if low <= printed <= high:
            return Check(*self, name, quantity, printed, low, high, True, "", None, arithmetic)
        return Check(*self, name, quantity, printed, low, high, False, misprinted or quantity, corrected, arithmetic)


def truncated(number: float, decimals: int = 0) -> float:
    """`number` cut off after so many decimals, as the paper prints the rows of BERT and FastBERT."""
    return floor(number * 10**decimals) / 10**decimals


def around(number: float, tolerance: float = DIGITISED) -> tuple[float, float]:
    """The interval of `tolerance` on both sides."""
    return number - tolerance, number + tolerance
