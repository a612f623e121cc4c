"""`python -m reproductions.gate.summary BASE HEAD`: two reports of the gate side by side, as Markdown."""

import csv
import io
import sys
from decimal import Decimal
from pathlib import Path

from fastbert_core.errors import InputError
from reproductions.arguments import ArgumentParser
from reproductions.gate.finding import Finding, as_number

KEY = ("tier", "task", "profile", "metric")


def summary(base: list[dict[str, str]], head: list[dict[str, str]]) -> str:
    """A table of what the change has found otherwise than its base, failures first; below it the live tier's other
    numbers, which are accuracies and FLOPs.

    Rows are those of `check --report`; of a base that had no gate there are none, and nothing is told as changed.
    """
    before = {tuple(row[name] for name in KEY): row["found"] for row in base}
    changed = [row for row in head if before and row["found"] != before.get(tuple(row[name] for name in KEY))]
    failed = [row for row in head if row["ok"] != "yes"]
    shown = [*failed, *(row for row in changed if row not in failed)]
    numbers = [row for row in head if row["tier"] == "live" and as_number(row["found"]) is not None]
    shown += [row for row in numbers if row not in shown]
    lines = [
        "### Accuracy and FLOPs",
        "",
        f"{len(head) - len(failed)} of {len(head)} claims hold; "
        + (f"{len(changed)} found otherwise than in the base." if before else "there is no base to compare with."),
    ]
    if shown:
        lines += [
            "",
            "| claim | base | change | difference | allowed | holds |",
            "| --- | --- | --- | --- | --- | --- |",
        ]
    for row in shown:
        old = before.get(tuple(row[name] for name in KEY), "")
        claim = " ".join(filter(None, (row[name] for name in KEY)))
        cells = [claim, old, row["found"], _difference(old, row["found"]), row["allowed"], row["ok"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines) + "\n"


def _difference(old: str, new: str) -> str:
    numbers: tuple[Decimal | None, ...] = as_number(old), as_number(new)
    return "" if None in numbers else f"{numbers[1] - numbers[0]:+}"


def _read(path: Path, needed: bool) -> list[dict[str, str]]:
    if not path.is_file():
        if needed:
            raise InputError(f"{path}: no such file, expected a report of `check --report`")
        return []
    try:
        header, *rows = csv.reader(io.StringIO(path.read_bytes().decode(), newline=""), strict=True)
    except (ValueError, csv.Error) as error:  # nothing in it, not UTF-8, or no CSV
        raise InputError(f"{path}: found {error}, expected a report of `check --report`") from None
    for number, row in enumerate([header, *rows], 1):
        if (number == 1 and tuple(header) != Finding._fields) or len(row) != len(Finding._fields):
            raise InputError(f"{path}, line {number}: found {row}, expected the columns {list(Finding._fields)}")
    return [dict(zip(header, row, strict=True)) for row in rows]


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code. A base without a report is an empty one."""
    parser = ArgumentParser(prog="python -m reproductions.gate.summary", description=__doc__)
    parser.add_argument("base", type=Path, metavar="BASE", help="report of `check --report`, which need not be there")
    parser.add_argument("head", type=Path, metavar="HEAD", help="the report to hold against it")
    options = parser.parse_args(arguments)
    try:
        print(summary(_read(options.base, needed=False), _read(options.head, needed=True)), end="")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
