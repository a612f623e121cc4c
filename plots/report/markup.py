"""Tables as HTML. What comes from a file becomes part of the page here, escaped."""

from html import escape
from string import Formatter

import pandas as pd

VERDICTS = ("verdict", "verdict_relative")
EMPTY = "<td></td>"


def html_table(texts: pd.DataFrame, columns: dict[str, str], caption: str, notes: str = "") -> str:
    """The rows of `texts` (all of them str) under a caption.

    columns: by heading what a cell shows, a form like "{accuracy} %"; the cell is empty where a value in it is missing,
        and a column that would be empty is left out
    notes: a column of long texts, which become numbered notes below the table
    """
    numbers = {text: number for number, text in enumerate(_distinct(texts[notes]), start=1)} if notes else {}
    rows = texts.to_dict("records")
    cells = {head: [_cell(form, row) for row in rows] for head, form in columns.items()}
    cells = {head: column for head, column in cells.items() if set(column) != {EMPTY}}
    if numbers:
        cells["note"] = [f'<td class="word">{numbers.get(row[notes], "")}</td>' for row in rows]
    head = "".join(f'<th scope="col">{escape(text)}</th>' for text in cells)
    body = "".join(f"<tr>{''.join(row)}</tr>" for row in zip(*cells.values(), strict=True))
    listed = "".join(f"<li>{escape(text)}</li>" for text in numbers)
    return "\n".join(
        [
            f'<div class="table" tabindex="0" role="region" aria-label="{escape(caption)}">',
            f"<table><caption>{escape(caption)}</caption>",
            f"<thead><tr>{head}</tr></thead>",
            f"<tbody>{body}</tbody></table></div>",
            f'<ol class="notes">{listed}</ol>' if listed else "",
        ]
    )


def _cell(form: str, row: dict[str, str]) -> str:
    fields = [field for _, field, _, _ in Formatter().parse(form) if field]
    if not all(row[field] for field in fields):
        return EMPTY
    text = escape(form.format_map(row))
    if fields[0] in VERDICTS:
        return f'<td class="word"><span class="verdict" data-verdict="{text}">{text}</span></td>'
    if _is_number(row[fields[0]]):
        return f'<td class="number">{text}</td>'
    return f"<td>{text}</td>" if " " in text else f'<td class="word">{text}</td>'


def _is_number(text: str) -> bool:
    try:
        float(text)
    except ValueError:
        return False
    return True


def _distinct(texts: pd.Series) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text]
