"""The gate's claims, rows of expected.csv: what is expected, how far it may be off, and what was found beside it."""

import contextlib
import csv
import io
import re
from collections import namedtuple
from collections.abc import Iterable, Sequence
from decimal import Decimal
from itertools import zip_longest
from pathlib import Path

from fastbert_core.errors import InputError
from fastbert_core.files import sha256, write_whole

TIERS = ("exact", "live", "real")
PLAIN = re.compile(r"-?[0-9]+(\.[0-9]+)?")  # a number without exponent or signs of grouping

# A row of expected.csv: `metric` lies within `tolerance`, which has a `reason`, of `expected`, which has a `source`;
# `updated` says why that was last changed. A row of the report: the same beside what was found.
Claim = namedtuple("Claim", "tier task profile metric expected tolerance source reason updated")
Finding = namedtuple("Finding", "tier task profile metric expected found difference allowed ok")
Numbers = dict[tuple[str, ...], str]  # what was measured, by the first four fields of its claim


def read_claims(path: Path) -> list[Claim]:
    """The claims in the file's order. Raises InputError, naming the line, where it is not in order."""
    from reproductions.tables import csv_rows  # which the help of the commands need not wait for

    claims = {}
    for line, row in csv_rows(path, Claim._fields):
        claim = Claim(*row)
        for column, right, wanted in (
            ("tier", claim.tier in TIERS, f"one of {', '.join(TIERS)}"),
            ("expected", PLAIN.fullmatch(claim.expected), "a number"),
            ("tolerance", PLAIN.fullmatch(claim.tolerance) and claim.tolerance[0] != "-", "a number of at least 0"),
            *((column, getattr(claim, column).strip(), "a text") for column in ("metric", "source", "reason")),
            ("metric", claim[:4] not in claims, "each claim once"),
        ):
            if not right:
                found = repr(getattr(claim, column))
                raise InputError(f"{path}, line {line}: {column}: found {found}, expected {wanted}")
        claims[claim[:4]] = claim
    return list(claims.values())


def updated(claims: Sequence[Claim], numbers: Numbers, reason: str) -> list[Claim]:
    """The claims with what was measured in the place of what was expected, and `reason` where that differs.

    What was not measured, or is no number, stays as it is, and so goes on failing.
    """
    return [
        claim._replace(expected=found, updated=reason)
        if PLAIN.fullmatch(found := numbers.get(claim[:4], "")) and Decimal(found) != Decimal(claim.expected)
        else claim
        for claim in claims
    ]


def write_rows(path: Path, kind: type, rows: Iterable[tuple]) -> None:
    """Claims or findings as CSV."""
    text = io.StringIO(newline="")
    csv.writer(text, lineterminator="\n").writerows([kind._fields, *rows])
    write_whole(path, text.getvalue())


def held(place: tuple, metric: str, expected: str, found: str, allowed: str = "") -> Finding:
    """What was found beside what was expected: a number that is at most `allowed` away, or else the same text."""
    numbers = [Decimal(text) if PLAIN.fullmatch(text) else None for text in (expected, found)]
    difference = None if None in numbers else numbers[1] - numbers[0]
    ok = difference is not None and abs(difference) <= Decimal(allowed) if allowed else expected == found
    text = "" if difference is None else f"{difference:f}"
    return Finding(*place, metric, expected, found, text, allowed or "0", "yes" if ok else "no")


def same_files(place: tuple, name: str, expected: Path, found: Path) -> Finding:
    """One finding on the file `name`: the first line, in a CSV also column, where it differs; of no text, SHA-256."""
    sides = [path.read_bytes() if path.is_file() else None for path in (expected, found)]
    if None in sides:
        return held(place, name, *("no file" if side is None else "a file" for side in sides))
    if sides[0] == sides[1]:
        return held(place, name, "same bytes", "same bytes")
    if expected.suffix not in (".csv", ".md"):
        return held(place, name, sha256(expected), sha256(found))
    lines = [side.decode("utf-8", errors="backslashreplace").split("\n") for side in sides]
    pairs = enumerate(zip_longest(*lines, fillvalue=""), 1)
    number, pair = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    if expected.suffix == ".csv":
        with contextlib.suppress(csv.Error):  # a line that is none of a CSV is shown whole
            cells = [next(csv.reader([line]), []) for line in (lines[0][0], *pair)]
            for column, *values in zip_longest(*cells, fillvalue=""):
                if values[0] != values[1]:
                    return held(place, f"{name}, line {number}, {column}", *values)
    return held(place, f"{name}, line {number}", *pair)


def summary(findings: Sequence[Finding]) -> str:
    """How many findings of each tier are ok, and in full those that are not."""
    lines = []
    for tier in dict.fromkeys(finding.tier for finding in findings):
        ok = [finding.ok == "yes" for finding in findings if finding.tier == tier]
        lines.append(f"{tier}: {sum(ok)} of {len(ok)} as expected")
    if failed := [finding for finding in findings if finding.ok != "yes"]:
        widths = [max(map(len, column)) for column in zip(Finding._fields, *failed, strict=True)]
        rows = ("  ".join(map(str.ljust, row, widths)).rstrip() for row in (Finding._fields, *failed))
        lines += ["", *rows]
    return "\n".join(lines)
