"""The columns of every results CSV as Markdown, for results/README.md: `python -m reproductions.columns`."""

import sys
from collections.abc import Sequence
from functools import partial

from fastbert_core.files import atomic_write
from reproductions.arguments import ArgumentParser, exit_code
from reproductions.checkout import committed
from reproductions.schemas import SCHEMAS

START, END = "<!-- columns: written by python -m reproductions.columns -->", "<!-- end of columns -->"


def columns() -> str:
    """A Markdown table for each CSV, from its schema: column, what it holds, whether it may be empty."""
    parts = []
    for name, schema in SCHEMAS.items():
        parts += [f"### {name}.csv", "", f"One row for each {', '.join(schema.unique)}.", ""]
        parts += ["| column | what it holds | may be empty |", "| --- | --- | --- |"]
        for column, declared in schema.columns.items():
            parts.append(f"| `{column}` | {declared.description} | {'yes' if declared.nullable else ''} |")
        parts.append("")
    return "\n".join(parts)


def with_columns(text: str) -> str:
    """`text` with the tables of `columns` between its two markers."""
    head, _, rest = text.partition(START)
    return f"{head}{START}\n\n{columns()}\n{END}{rest.partition(END)[2]}"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the tables into results/README.md; returns the exit code."""
    return exit_code(partial(_write, arguments))


def _write(arguments: Sequence[str] | None) -> int:
    ArgumentParser(prog="python -m reproductions.columns", description=__doc__).parse_args(arguments)
    path = committed("results", "README.md")
    written = with_columns(path.read_text(encoding="utf-8"))
    with atomic_write(path) as file:
        file.write(written.encode())
    print(path)
    return 0


if __name__ == "__main__":
    sys.exit(main())
