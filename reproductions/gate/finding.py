"""What a claim of the gate expects and what was found, and how findings are told."""

import csv
import io
import re
from collections.abc import Sequence
from decimal import Decimal
from pathlib import Path
from typing import NamedTuple

from fastbert_core.files import atomic_write

_PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")


class Place(NamedTuple):
    """What a claim is about; `task` and `profile` are empty where it is about all or none."""

    tier: str
    task: str
    profile: str


class Finding(NamedTuple):
    """A claim held against what was found; a column of the report each.

    expected, found: a number or a text; `found` is empty where there is nothing
    difference: found - expected, where both are numbers
    allowed: how large the difference may be
    """

    tier: str
    task: str
    profile: str
    metric: str
    expected: Decimal | str
    found: Decimal | str
    difference: Decimal | str
    allowed: Decimal | str
    ok: bool


def measured(place: Place, metric: str, expected: Decimal, found: Decimal | None, allowed: Decimal) -> Finding:
    """A number that must lie within `allowed` of the expected one; a missing one, or NaN, does not."""
    if found is None or not found.is_finite():
        return Finding(*place, metric, expected, "" if found is None else found, "", allowed, False)
    difference = found - expected
    return Finding(*place, metric, expected, found, difference, allowed, abs(difference) <= allowed)


def identical(place: Place, metric: str, expected: str, found: str) -> Finding:
    """A text that must be the expected one, character by character."""
    numbers = as_number(expected), as_number(found)
    difference = "" if None in numbers else numbers[1] - numbers[0]
    return Finding(*place, metric, expected, found, difference, Decimal(0), expected == found)


def as_number(text: str) -> Decimal | None:
    """The number that `text` writes plainly, without exponent or signs of grouping; None if it writes none."""
    return Decimal(text) if _PLAIN.fullmatch(text) else None


def summary(findings: Sequence[Finding]) -> str:
    """How many findings of each tier are ok, and in full those that are not."""
    lines = []
    for tier in dict.fromkeys(finding.tier for finding in findings):
        ok = [finding.ok for finding in findings if finding.tier == tier]
        lines.append(f"{tier}: {sum(ok)} of {len(ok)} as expected")
    if failed := [_cells(finding) for finding in findings if not finding.ok]:
        rows = [Finding._fields, *failed]
        widths = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines += ["", *("  ".join(map(str.ljust, row, widths)).rstrip() for row in rows)]
    return "\n".join(lines)


def write_report(path: Path, findings: Sequence[Finding]) -> None:
    """All findings as CSV, the columns those of Finding."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([Finding._fields, *map(_cells, findings)])
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _cells(finding: Finding) -> list[str]:
    plain = [f"{value:f}" if isinstance(value, Decimal) else value for value in finding[:-1]]
    return [*plain, "yes" if finding.ok else "no"]
