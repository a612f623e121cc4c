"""A model's card: what it is, where it came from, what it can do; in the form that the Hugging Face Hub reads."""

from fastbert_core.operating_points import OperatingPoints

CODE = """```python
from fastbert_core import Engine

engine = Engine.from_pretrained("model")
texts = ["a text", "another"]{seconds}
for found in engine.predict(texts, {pairs}{argument}):
    print({shown})
print(engine.predict(texts[0], {pair}speed=0.3))   # a threshold of the uncertainty, from 0 (all layers) to 1
print(engine.points.full_accuracy)
```"""

SECONDS = {  # of pairs, which the code has beside the texts
    "seconds": '\nseconds = ["what stands beside the first", "and beside the other"]',
    "pairs": "pairs=seconds, ",
    "pair": "pairs=seconds[0], ",
}

# Of task types where a text does not have one class: what it has, of so many classes, and the hub's word for it.
ANSWERS = {
    "multi-label": ("any of {} labels", "text-classification"),
    "regression": ("a score", "text-classification"),
    "sequence-labelling": ("one of {} tags for each word", "token-classification"),
}


def model_card(record: dict, points: OperatingPoints, tested: dict | None = None) -> str:
    """README.md of a model folder.

    record: what `train_classifier` keeps in training.json; tested: `evaluate` of rows that nothing was chosen on
    """
    classes = record["classes"]
    named = ", ".join(classes[:12]) + (f", … ({len(classes)} in all)" if len(classes) > 12 else "")
    kind = "pairs of texts" if record["pair"] else "texts"
    seconds = SECONDS if record["pair"] else dict.fromkeys(SECONDS, "")
    answered, tag = ANSWERS.get(record.get("type"), ("{} classes", "text-classification"))
    single = "type" not in record
    shown = "found.label, found.exit_layer" + (", max(found.probabilities)" if single else "")
    rows = record["rows"]
    unlabelled = f", {rows['unlabelled']} of them unlabelled" if rows["unlabelled"] else ""
    speedups = (point.value for point in points.points if point.target == "speedup" and point.value >= 2)
    target, value = next((("speedup", speedup) for speedup in speedups), points.first_to_try)
    argument = f"{target}={value:g}"
    return f"""---
library_name: fastbert-core
pipeline_tag: {tag}
tags: [early-exit, fastbert, text-classification]
---

# {record["name"]}: {kind} to {answered.format(len(classes))}, with early exit

A [FastBERT](https://arxiv.org/abs/2004.02178): every layer has a classifier, and a text leaves at the first one that is
sure enough. Classes: {named}.

| | |
| --- | --- |
| encoder | {record["backbone"]} ({record["layers"]} layers) |
| training | {record["training"]}, seed {record["options"]["seed"]}, at most {points.max_tokens} tokens |
| data | {record["name"]}, SHA-256 `{record["data_sha256"][:16]}` |
| rows | {rows["train"]} to learn from{unlabelled}, {rows["selection"]} chose the epoch, {points.rows} the thresholds |

## Operating points

{_points(points) if tested is None else _tested(tested)}

Speedup is of {points.unit}, against the model without exits. {_said(points, tested)}

## Ten lines of Python

{CODE.format(argument=argument, shown=shown, **seconds)}

Made by fastbert-core {record["versions"]["fastbert-core"]}: `fastbert show model` tells more.
"""


def majority(tables: dict) -> str:
    """What one answer for all rows would come to, of `evaluate`'s tables."""
    said = "the commonest class is" if tables["classes"] else "one answer for all is right to"
    return f"{said} {tables['majority']:.2f}% of them"


def _points(points: OperatingPoints) -> str:
    lines = ["| asked | speedup | on new rows | mean layers | accuracy | same answer |", "| --- |" + " ---: |" * 5]
    lines.append(f"| full model | 1.00x | | | {_number(points.full_accuracy)} | 100.00 |")
    for point in points.points:
        low, high = point.interval
        speed = f"{point.speedup:.2f}x | {low:.2f} to {high:.2f} | {point.mean_layers:.2f}"
        lines.append(f"| {point.name} | {speed} | {_number(point.accuracy)} | {point.same:.2f} |")
    return "\n".join(lines)


def _tested(tested: dict) -> str:
    known = {"asked", "speedup", "mean_layers", "accuracy", "lost", "point", "threshold", "same"}
    metrics = [name for name in tested["points"][0] if name not in known and not name.endswith("_interval")]
    heads = " | ".join(name.replace("_", "-").replace("-f1", "-F1") for name in metrics)
    lines = [
        f"| asked | speedup | mean layers | accuracy | points lost | {heads} |",
        "| --- |" + " ---: |" * (4 + len(metrics)),
    ]
    for row in tested["points"]:
        low, high = row["lost_interval"]
        lost = "" if row["threshold"] is None else f"{row['lost']:.2f} [{low:.2f}, {high:.2f}]"
        speed = f"{row['speedup']:.2f}x | {row['mean_layers']:.2f}"
        values = " | ".join(_number(row[name]) for name in metrics)
        lines.append(f"| {row['point']} | {speed} | {row['accuracy']:.2f} | {lost} | {values} |")
    return "\n".join(lines)


def _said(points: OperatingPoints, tested: dict | None) -> str:
    if tested is not None:
        rows = f"{tested['rows']} test rows, on which nothing was chosen"
        return f"Measured on {rows}; {majority(tested)}."
    return (
        f"Measured on the {points.rows} rows that the thresholds were chosen on; `on new rows` is the middle 90% of "
        "what rows outside a bootstrap draw give. `fastbert evaluate` measures on rows of your own."
    )


def _number(value: float | None) -> str:
    return "" if value is None else f"{value:.2f}"
