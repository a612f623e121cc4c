"""What the command prints of a model and its numbers: its record, its operating points, tables in columns."""

import math
from pathlib import Path
from typing import TYPE_CHECKING, Any

from fastbert_core.errors import InputError, refused
from fastbert_core.files import model_folder, read_object

if TYPE_CHECKING:
    from fastbert_core.operating_points import OperatingPoints

# What is told of a record: of which kind each value is.
KEPT = dict.fromkeys(("name", "backbone", "training", "data_sha256", "versions.fastbert-core"), str)
KEPT |= dict.fromkeys(("layers", "max_tokens", "rows.train", "rows.unlabelled", "rows.selection", "options.seed"), int)
KEPT |= {"classes": list, "pair": bool}
WROTE = "expected what `fastbert train` wrote; a model needs no such file"


def read_record(folder: Path) -> dict:
    """What training kept of a model, {} where it kept nothing. Raises InputError if it is no model."""
    kind = read_object(model_folder(folder) / "config.json", "a model's configuration").get("model_type")
    if kind != "fastbert":
        raise InputError(f"{folder}: found a model of type {kind!r}, expected one of type 'fastbert'")
    path = folder / "training.json"
    record = read_object(path, "what `fastbert train` wrote") if path.is_file() else {}
    for name, type_ in KEPT.items() if record else ():
        value: Any = record
        for key in name.split("."):
            value = value.get(key) if isinstance(value, dict) else None
        if not isinstance(value, type_):
            found = f"no {name}" if value is None else f"{name} of type {type(value).__name__}"
            raise InputError(f"{path}: found {found}, {WROTE}")
    with refused(f"{path}: found a test that cannot be read (", f"), {WROTE}", (LookupError, TypeError, ValueError)):
        _tested(record.get("test"))
    return record


def described(folder: Path) -> dict:
    """What configuration and weights tell of a model without a record. Raises InputError if they tell nothing."""
    from safetensors import safe_open

    from fastbert_core.flops import EncoderShape
    from fastbert_core.model import FastBertConfig

    with refused(f"{folder}: cannot be read (", "), expected a trained model's configuration and weights"):
        config = FastBertConfig.from_pretrained(folder)
        shape = EncoderShape.from_config(config)
        parameters = 0
        for path in folder.glob("*.safetensors"):
            with safe_open(path, "np") as weights:
                shapes = [weights.get_slice(name).get_shape() for name in weights.keys()]  # noqa: SIM118 - no dict
            parameters += sum(map(math.prod, shapes))
        about = {"name": str(folder), "classes": config.class_names, "max_tokens": config.max_tokens}
        about |= {"backbone": shape.family, "layers": shape.layers, "hidden": shape.hidden}
        return about | {"parameters": parameters}


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


def first_option(points: "OperatingPoints") -> str:
    """The option of `predict` to try first."""
    target, value = points.first_to_try
    return f"--{target.replace('_', '-')} {value:g}"


def shown(folder: Path) -> str:
    """A model in lines: what it is, where it came from, what it can do."""
    record, points = read_record(folder), points_table(folder)
    about = record or described(folder)
    count, tokens = len(about["classes"]), f"at most {about['max_tokens']} tokens"
    encoder = f"{about['backbone']}, {about['layers']} layers"
    names = ", ".join(map(str, about["classes"][:12])) + ", …" * (count > 12)
    lines = [f"{about['name']}: {count} class{'es' * (count != 1)}: {names}"]
    if record:
        learnt = f"{record['training']} on {record['rows']['train']} rows"
        lines += [f"{encoder}, {tokens}; {learnt}", *_tested(record.get("test"))]
    else:
        more = "; README.md tells more" if (folder / "README.md").is_file() else ""
        lines.append(f"{encoder} of {about['hidden']}, {tokens}; {about['parameters']:,} parameters")
        lines.append(f"no training.json, which would say where it came from{more}")
    if points and points[0]["unit"] != "multiply-accumulates":
        lines.append(f"speedups are of {points[0]['unit']}, as the machine that calibrated measured them")
    lines.append(table(points) if points else f"no operating points; next: fastbert calibrate {folder} --texts FILE")
    lines += [f"{row['asked']}: {row['note']}" for row in points if row.get("note")]
    return "\n".join(lines)


def _tested(test: dict | None) -> list[str]:
    """The line on the test rows, where there were some of one class each."""
    if not test or not test["classes"]:
        return []
    full, worst = test["points"][0], min(test["classes"], key=lambda row: row["f1"])
    told = f"accuracy {full['accuracy']:.2f}, macro-F1 {full['macro_f1']:.2f}"
    return [f"full model on {test['rows']} test rows: {told}; worst class {worst['class']}, F1 {worst['f1']:.2f}"]


def table(rows: list[dict]) -> str:
    """Rows as aligned columns: numbers to the right, thresholds with four decimals, what is missing empty."""
    names = [name for name in dict.fromkeys(name for row in rows for name in row) if name not in ("note", "unit")]
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
