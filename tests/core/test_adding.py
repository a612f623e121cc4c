"""The page on adding: its files, put where it says, pass the contract tests because they are there."""

import ast
import re
import shutil
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parents[2]
PAGE = (ROOT / "docs" / "adding.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"^`(fastbert_core/\S+\.py)`:\n\n```python\n(.*?)```", PAGE, re.DOTALL | re.MULTILINE))
TESTS = ("test_exit_rules.py", "test_trainings.py", "test_backbones.py")


def test_each_file_is_all_that_it_takes(tmp_path):
    assert len(FILES) == PAGE.count("```python") == 3
    for package in ("fastbert_core", "tests"):
        shutil.copytree(ROOT / package, tmp_path / package, ignore=shutil.ignore_patterns("__pycache__"))
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    names = []
    for path, text in FILES.items():
        assert not (tmp_path / path).exists()
        (tmp_path / path).write_text(text, encoding="utf-8")
        (call,) = (node for node in ast.walk(ast.parse(text)) if isinstance(node, ast.Call) and is_register(node))
        names.append(call.args[0].value)
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", "-k", " or ".join(names)]
    command += [f"tests/core/{name}" for name in TESTS]
    found = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, timeout=600, check=False)
    assert found.returncode == 0, found.stdout[-3000:] + found.stderr[-1000:]
    passed = int(re.search(r"(\d+) passed", found.stdout)[1])
    assert passed >= 20  # of a rule, a training and a family there are so many tests at least


def is_register(node: ast.Call) -> bool:
    return isinstance(node.func, ast.Attribute) and node.func.attr == "register"
