"""The expectations that no other file holds, as data: the CSV that the gate reads and the page shows."""

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass, fields, replace
from decimal import Decimal
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write
from fastbert_core.tasks import TASKS
from reproductions.gate.finding import Finding, Place, as_number, measured
from reproductions.profiles import PROFILES
from reproductions.store import csv_rows

PATH = Path(__file__).parent / "expectations.csv"
TIERS = ("exact", "live")  # deep expects the committed rows of table 2


@dataclass(frozen=True)
class Expectation:
    """A claim: `metric` lies within `tolerance` of `expected`; a row of the file.

    source: where the expected number comes from; reason: why the tolerance is what it is
    updated: why the expected number was last changed, as `check --update --reason` was told
    """

    tier: str
    task: str
    profile: str
    metric: str
    expected: Decimal
    tolerance: Decimal
    source: str
    reason: str
    updated: str

    @property
    def key(self) -> tuple[str, str, str, str]:
        """What tells it from all other claims."""
        return self.tier, self.task, self.profile, self.metric

    def against(self, found: Decimal | None) -> Finding:
        """The claim held against what was found, None if nothing was."""
        return measured(Place(self.tier, self.task, self.profile), self.metric, self.expected, found, self.tolerance)


COLUMNS = tuple(field.name for field in fields(Expectation))
Numbers = Mapping[tuple[str, str, str, str], Decimal]  # what was measured, by an expectation's key


def read_expectations(path: Path) -> list[Expectation]:
    """The expectations in the file's order. Raises InputError, naming the line, where it is not in order."""
    if not path.is_file():
        raise InputError(f"{path}: no such file, expected the gate's expectations")
    seen: dict[tuple, int] = {}
    expectations = []
    for line, row in csv_rows(path, COLUMNS):
        expectation = _expectation(row, f"{path}, line {line}")
        if (first := seen.setdefault(expectation.key, line)) != line:
            raise InputError(f"{path}, line {line}: found the claim of line {first} again, expected each once")
        expectations.append(expectation)
    return expectations


def _expectation(row: list[str], where: str) -> Expectation:
    def require(holds: bool, column: str, expected: str) -> None:
        if not holds:
            raise InputError(f"{where}: {column}: found {values[column]!r}, expected {expected}")

    values = dict(zip(COLUMNS, row, strict=True))
    numbers = {column: as_number(values[column]) for column in ("expected", "tolerance")}
    require(values["tier"] in TIERS, "tier", f"one of {', '.join(TIERS)}")
    require(values["task"] in ("", *TASKS), "task", "a task's name, or nothing")
    require(values["profile"] in ("", *PROFILES), "profile", f"one of {', '.join(PROFILES)}, or nothing")
    for column, number in numbers.items():
        require(number is not None, column, "a number")
    require(numbers["tolerance"] >= 0, "tolerance", "a number of at least 0")
    for column in ("metric", "source", "reason"):
        require(values[column].strip() != "", column, "a text")
    return Expectation(**values | numbers)


def write_expectations(path: Path, expectations: Sequence[Expectation]) -> None:
    """Write the file; reading it gives `expectations` again."""
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(COLUMNS)
    for expectation in expectations:
        writer.writerow(f"{v:f}" if isinstance(v, Decimal) else v for v in astuple(expectation))
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def updated(expectations: Sequence[Expectation], numbers: Numbers, reason: str) -> list[Expectation]:
    """The expectations with what was measured in the place of what was expected, and `reason` where that differs.

    What was not measured, or is no finite number, stays as it is, and so goes on failing.
    """
    renewed = []
    for expectation in expectations:
        found = numbers.get(expectation.key)
        if found is not None and found.is_finite() and found != expectation.expected:
            expectation = replace(expectation, expected=found, updated=reason)
        renewed.append(expectation)
    return renewed
