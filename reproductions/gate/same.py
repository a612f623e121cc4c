"""Are two files the same, and if not, where do they part?"""

import csv
import hashlib
from itertools import zip_longest
from pathlib import Path

from reproductions.gate.finding import Finding, Place, identical

SAME, NOTHING = "same bytes", "no file"


def same_files(place: Place, name: str, expected: Path, found: Path) -> Finding:
    """One finding on the file `name`: its bytes, or the first line and, in a CSV, column where they differ."""
    present = [path.is_file() for path in (expected, found)]
    if not all(present):
        return identical(place, name, *("a file" if there else NOTHING for there in present))
    return same_bytes(place, name, expected.read_bytes(), found.read_bytes())


def same_bytes(place: Place, name: str, expected: bytes, found: bytes) -> Finding:
    """The same for contents at hand: a text's first differing line, the SHA-256 of what is no text."""
    if expected == found:
        return identical(place, name, SAME, SAME)
    if Path(name).suffix not in (".csv", ".md"):
        return identical(place, name, *(hashlib.sha256(content).hexdigest() for content in (expected, found)))
    lines = [content.decode("utf-8", errors="backslashreplace").split("\n") for content in (expected, found)]
    pairs = enumerate(zip_longest(*lines, fillvalue=""), 1)
    number, (ours, theirs) = next((number, pair) for number, pair in pairs if pair[0] != pair[1])
    where = f"{name}, line {number}"
    if name.endswith(".csv"):
        header, our_cells, their_cells = map(_cells, (lines[0][0], ours, theirs))
        for column, *cells in zip_longest(header, our_cells, their_cells, fillvalue=""):
            if cells[0] != cells[1]:
                return identical(place, f"{where}, {column}", *cells)
    return identical(place, where, ours, theirs)


def _cells(line: str) -> list[str]:
    try:
        return next(csv.reader([line]), [])
    except csv.Error:  # no line of a CSV: one cell
        return [line]
