"""How tests spoil files."""

from pathlib import Path


def replace(path: Path, old: str, new: str):
    """Put `new` in the place of the first `old` in a text file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))
