"""The project as files, for the tests that hold it together: its modules and what they import, and tox.ini."""

import ast
import subprocess
from collections.abc import Iterator
from configparser import ConfigParser
from functools import cache
from pathlib import Path

ROOT = Path(__file__).parent.parent


def files(root: Path = ROOT) -> list[str]:
    """The files that git knows, or would take in, by their paths from the root."""
    command = ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    listed = subprocess.run(command, cwd=root, capture_output=True, text=True, check=True).stdout
    return [name for name in listed.split("\0") if (root / name).is_file()]


def modules(*folders: str) -> dict[str, ast.Module]:
    """Every Python file below the folders, parsed, by its path."""
    return {path: tree for folder in folders for path, tree in _parsed(folder).items()}


@cache
def _parsed(folder: str) -> dict[str, ast.Module]:
    paths = sorted((ROOT / folder).rglob("*.py"))
    return {path.relative_to(ROOT).as_posix(): ast.parse(path.read_text(encoding="utf-8")) for path in paths}


def imported(tree: ast.Module) -> Iterator[str]:
    """The modules that are imported, wherever in the file; `from a import b` gives a and a.b, a module or not."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"line {node.lineno}: a relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@cache
def tox() -> ConfigParser:
    """tox.ini, its references as they are written."""
    found = ConfigParser(interpolation=None)
    found.read_string((ROOT / "tox.ini").read_text(encoding="utf-8"))
    return found
