"""The figures of a profile, as images that are part of the page."""

import base64
import re
import tempfile
from pathlib import Path
from typing import NamedTuple

from plots.gallery import Drawn, draw_folder

_ESCAPED = str.maketrans({"%": "%25", "#": "%23", "&": "%26", "'": "%27"})


class Image(NamedTuple):
    """source: for an attribute in single quotes, safe there; alt: what is seen"""

    source: str
    alt: str


def images(results_dir: Path) -> tuple[dict[str, list[Image]], Drawn]:
    """Every figure that `results_dir` allows, by task ("" for those of all tasks), and what became of them."""
    found: dict[str, list[Image]] = {}
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        drawn = draw_folder(results_dir, folder)
        for svg, seen in drawn.files.items():
            if svg.suffix == ".svg":
                task = "" if svg.parent == folder else svg.parent.name
                source = min(_svg_uri(svg), _png_uri(svg.with_suffix(".png")), key=len)
                found.setdefault(task, []).append(Image(source, seen))
    return found, drawn


def _svg_uri(path: Path) -> str:
    """A hundredth of a point is as sharp as any screen or printer."""
    text = re.sub(r"<[^>]*>", lambda tag: re.sub(r"(\.\d\d)\d+", r"\1", tag[0]), path.read_text(encoding="utf-8"))
    return "data:image/svg+xml;charset=utf-8," + re.sub(r"\s*\n\s*", " ", text).translate(_ESCAPED)


def _png_uri(path: Path) -> str:
    return f"data:image/png;base64,{base64.b64encode(path.read_bytes()).decode()}"
