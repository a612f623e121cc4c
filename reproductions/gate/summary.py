"""`python -m reproductions.gate.summary BASE HEAD`: two reports of the gate side by side, as Markdown."""

import csv
import sys
from decimal import Decimal
from pathlib import Path

from fastbert_core.errors import InputError
from reproductions.gate.finding import Finding, as_number

KEY = ("tier", "task", "profile", "metric")


def summary(base: list[dict[str, str]], head: list[dict[str, str]]) -> str:
    """A table of what the change has found otherwise than its base, failures first, and a count of the rest.

    Rows are those of `check --report`; of a base that had no gate there are none.
    """
    before = {tuple(row[name] for name in KEY): row["found"] for row in base}
    changed = [row for row in head if row["found"] != before.get(tuple(row[name] for name in KEY))]
    failed = [row for row in head if row["ok"] != "yes"]
    shown = [*failed, *(row for row in changed if row not in failed)]
    lines = [
        "### Accuracy and FLOPs",
        "",
        f"{len(head) - len(failed)} of {len(head)} claims hold; {len(changed)} found otherwise than in the base.",
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
    with open(path, encoding="utf-8", newline="") as file:
        reader = csv.DictReader(file)
        if tuple(reader.fieldnames or ()) != Finding._fields:
            raise InputError(f"{path}, line 1: found columns {reader.fieldnames}, expected {list(Finding._fields)}")
        return list(reader)


def main(arguments: list[str]) -> int:
    """The command line; returns the exit code. A base without a report is an empty one."""
    if len(arguments) != 2:
        print("usage: python -m reproductions.gate.summary BASE.csv HEAD.csv", file=sys.stderr)
        return 2
    try:
        print(summary(_read(Path(arguments[0]), needed=False), _read(Path(arguments[1]), needed=True)), end="")
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
