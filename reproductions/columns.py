"""The columns of every results CSV as Markdown, for results/README.md: `python -m reproductions.columns`."""

from pathlib import Path

from reproductions.schemas import SCHEMAS

START, END = "<!-- columns: written by python -m reproductions.columns -->", "<!-- end of columns -->"
README = Path("results/README.md")


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


if __name__ == "__main__":
    README.write_text(with_columns(README.read_text(encoding="utf-8")), encoding="utf-8")
