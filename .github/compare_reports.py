"""`python compare_reports.py BASE.csv HEAD.csv`: two reports of `check --report` side by side, as Markdown.

What a change finds otherwise than its base, failures first; below it the live tier's other accuracies and FLOPs.
"""

import csv
import re
import sys
from decimal import Decimal
from pathlib import Path

NUMBER = re.compile(r"-?[0-9]+(\.[0-9]+)?")


def markdown(base: list[dict[str, str]], head: list[dict[str, str]]) -> str:
    """The table. A base without a report has no rows, and nothing is told as changed."""
    before = {_claim(row): row["found"] for row in base}
    failed = [row for row in head if row["ok"] != "yes"]
    changed = [row for row in head if before and row["found"] != before.get(_claim(row))]
    numbers = [row for row in head if row["tier"] == "live" and NUMBER.fullmatch(row["found"])]
    told = f"{len(changed)} found otherwise than in the base" if before else "there is no base to compare with"
    lines = ["### Accuracy and FLOPs", "", f"{len(head) - len(failed)} of {len(head)} claims hold; {told}.", ""]
    lines += ["| claim | base | change | difference | allowed | holds |", "| --- | --- | --- | --- | --- | --- |"]
    for row in {_claim(row): row for row in (*failed, *changed, *numbers)}.values():
        old, new = before.get(_claim(row), ""), row["found"]
        both = NUMBER.fullmatch(old) and NUMBER.fullmatch(new)
        cells = [_claim(row), old, new, f"{Decimal(new) - Decimal(old):+}" if both else "", row["allowed"], row["ok"]]
        lines.append("| " + " | ".join(cell.replace("|", "\\|").replace("\n", " ") for cell in cells) + " |")
    return "\n".join(lines)


def _claim(row: dict[str, str]) -> str:
    return " ".join(filter(None, (row[column] for column in ("tier", "task", "profile", "metric"))))


def _rows(path: Path) -> list[dict[str, str]]:
    with open(path, encoding="utf-8", newline="") as file:
        return list(csv.DictReader(file, strict=True))


if __name__ == "__main__":
    base, head = map(Path, sys.argv[1:])
    print(markdown(_rows(base) if base.is_file() else [], _rows(head)))
