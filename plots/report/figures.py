"""The figures of a profile, as images that are part of the page."""

import base64
import re
import tempfile
from pathlib import Path

from plots.gallery import Drawn, draw_folder

CAPTIONS = {
    "overview": "All tasks: accuracy lost to BERT, against FLOPs speedup",
    "speed_speedup": "All tasks: FLOPs speedup by speed",
    "budget": "All tasks: the speedup that was asked, and what was reached",
    "guarantees": "All tasks: how often a tolerated loss was exceeded",
    "exits": "All tasks: every exit by itself",
    "speed_accuracy": "Accuracy against cost",
    "luha": "Accuracy by uncertainty, of every classifier",
    "exit_layers": "Where samples leave",
    "uncertainty": "Uncertainty by layer",
    "convergence": "Training by epoch",
    "ablation": "The ablation, at equal cost",
    "leaderboard": "Exit rules beside entropy, by task",
    "exit_rules": "Accuracy of every exit rule against cost",
}
_ESCAPED = str.maketrans({"%": "%25", "#": "%23", "&": "%26", "'": "%27"})


def images(results_dir: Path) -> tuple[dict[str, list[str]], Drawn]:
    """HTML of every figure that `results_dir` allows, by task ("" for those of all tasks), and what became of them."""
    found: dict[str, list[str]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = draw_folder(results_dir, folder)
        for svg in (file for file in drawn.files if file.suffix == ".svg"):
            task = "" if svg.parent == folder else svg.parent.name
            source = min(_svg_uri(svg), _png_uri(svg.with_suffix(".png")), key=len)
            caption = ": ".join(filter(None, (task, CAPTIONS[svg.stem])))
            found.setdefault(task, []).append(f"<figure><img alt='{caption}' src='{source}'></figure>")
    return found, drawn


def _svg_uri(path: Path) -> str:
    """For an attribute in single quotes. A hundredth of a point is as sharp as any screen or printer."""
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), path.read_text(encoding="utf-8"))
    return "data:image/svg+xml;charset=utf-8," + re.sub(r"\s*\n\s*", " ", text).translate(_ESCAPED)


def _png_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
