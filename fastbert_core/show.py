"""What the command prints of a model and its numbers: its record, its operating points, tables in columns."""

import json
from pathlib import Path
from typing import Any

from fastbert_core.errors import InputError


def read_record(folder: Path) -> dict:
    """What training kept of a model, {} where it kept nothing. Raises InputError if it is no model."""
    if not (folder / "config.json").is_file():
        raise InputError(f"{folder}: found no config.json, expected a trained model's folder")
    kind = _json(folder / "config.json").get("model_type")
    if kind != "fastbert":
        raise InputError(f"{folder}: found a model of type {kind!r}, expected one of type 'fastbert'")
    return _json(folder / "training.json") if (folder / "training.json").is_file() else {}


def _json(path: Path) -> dict:
    try:
        found = json.loads(path.read_text("utf-8"))
    except (ValueError, RecursionError) as error:
        raise InputError(f"{path}: found no JSON, expected what training wrote") from error
    if not isinstance(found, dict):
        raise InputError(f"{path}: found {type(found).__name__}, expected a JSON object")
    return found


def points_table(folder: Path) -> list[dict]:
    """A model's operating points as rows of a table, the full model first; [] where it has none."""
    from fastbert_core.operating_points import FILE, load_points
    from fastbert_core.thresholds import rows_needed

    if not (folder / FILE).is_file():
        return []
    points = load_points(folder / FILE)
    full = {"threshold": None, "speedup": 1.0, "accuracy": points.full_accuracy, "same": 100.0}
    rows = [{"unit": points.unit, "asked": "full model"} | full]
    for point in points.points:
        row = {
            "unit": points.unit,
            "asked": point.name,
            "threshold": point.threshold,
            "speedup": point.speedup,
            "on_new_rows": list(point.interval),
            "mean_layers": point.mean_layers,
            "accuracy": point.accuracy,
            "same": point.same,
        }
        if point.threshold is None:
            needed = f"of which it takes {rows_needed(point.value)} or more"
            row["note"] = f"never exits: {points.rows} calibration rows, {needed}"
        rows.append(row)
    return rows


def first_option(folder: Path) -> str:
    """The option of `predict` to try first."""
    from fastbert_core.operating_points import FILE, load_points

    target, value = load_points(folder / FILE).first_to_try
    return f"--{target.replace('_', '-')} {value:g}"


def shown(folder: Path) -> str:
    """A model in lines: what it is, where it came from, what it can do."""
    record, points = read_record(folder), points_table(folder)
    lines = []
    if record:
        rows = record["rows"]
        lines += [
            f"{record['name']}: {len(record['classes'])} classes: {', '.join(record['classes'][:12])}",
            f"{record['backbone']}, {record['layers']} layers, at most {record['max_tokens']} tokens; "
            f"{record['training']} on {rows['train']} rows",
            *_tested(record.get("test")),
        ]
    if points and points[0]["unit"] != "multiply-accumulates":
        lines.append(f"speedups are of {points[0]['unit']}, as the machine that calibrated measured them")
    shown = [{name: value for name, value in point.items() if name != "unit"} for point in points]
    lines.append(table(shown) if points else f"no operating points; next: fastbert calibrate {folder} --texts FILE")
    lines += [f"{row['asked']}: {row['note']}" for row in points if row.get("note")]
    return "\n".join(lines)


def _tested(test: dict | None) -> list[str]:
    """The line on the test rows, where there were some of one class each."""
    if not test or not test["classes"]:
        return []
    full, worst = test["points"][0], min(test["classes"], key=lambda row: row["f1"])
    told = f"accuracy {full['accuracy']:.2f}, macro-F1 {full['macro_f1']:.2f}"
    return [f"full model on {test['rows']} test rows: {told}; worst class {worst['class']}, F1 {worst['f1']:.2f}"]


def rewrite_card(folder: Path) -> None:
    """The card with new operating points; that of a model which has no record is its owner's."""
    from fastbert_core.files import write_whole
    from fastbert_core.model_card import model_card
    from fastbert_core.operating_points import FILE, load_points

    if record := read_record(folder):
        write_whole(folder / "README.md", model_card(record, load_points(folder / FILE)))


def table(rows: list[dict]) -> str:
    """Rows as aligned columns: numbers to the right, thresholds with four decimals, what is missing empty."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name != "note"]
    cells = [
        [name.replace("_", " ") for name in names],
        *([_cell(row.get(name), 4 if name == "threshold" else 2) for name in names] for row in rows),
    ]
    numeric = [all(not isinstance(row.get(name), str) for row in rows) for name in names]
    widths = [max(len(row[at]) for row in cells) for at in range(len(names))]
    aligned = [
        [
            cell.rjust(width) if right else cell.ljust(width)
            for cell, width, right in zip(row, widths, numeric, strict=True)
        ]
        for row in cells
    ]
    return "\n".join("  ".join(row).rstrip() for row in aligned)


def _cell(value: Any, decimals: int) -> str:
    if value is None:
        return ""
    if isinstance(value, list):
        return " to ".join(_cell(part, decimals) for part in value)
    return f"{value:.{decimals}f}" if isinstance(value, float) else str(value)
