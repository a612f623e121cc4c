"""What holds the project together: imports go down only, and tox knows every task."""

import ast
import configparser
from pathlib import Path

import pytest

from fastbert_core.tasks import PAPER_TASKS

ROOT = Path(__file__).parent.parent
ALLOWED = {
    "fastbert_core": {"fastbert_core"},
    "reproductions": {"reproductions", "fastbert_core"},
    "bench": {"bench", "reproductions", "fastbert_core"},
    "plots": {"plots", "reproductions", "fastbert_core"},
}
# Of what lies below them, figures may know how results are laid out and read, which rows count once, when a sample
# leaves, and what a layer costs.
PLOTS_READ = {
    *(
        f"reproductions.{name}"
        for name in "checkout names columns machines repeats show speeds store tables reported".split()
    ),
    *(f"fastbert_core.{name}" for name in "arguments errors exit_rules files flops tasks uncertainty".split()),
}


def imported(path):
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            assert node.level == 0, f"{path}: relative import"
            yield node.module
            yield from (f"{node.module}.{alias.name}" for alias in node.names)


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_down_only(package):
    files = list((ROOT / package).rglob("*.py"))
    assert files
    for path in files:
        ours = {name for name in imported(path) if name.split(".")[0] in ALLOWED}
        foreign = {name for name in ours if name.split(".")[0] not in ALLOWED[package]}
        assert not foreign, f"{path.relative_to(ROOT)} imports {foreign}"
        if package == "plots":
            modules = {name for name in ours if not name.startswith("plots")}
            assert {name for name in modules if not name.startswith(tuple(PLOTS_READ))} <= {"reproductions"}, path


def test_every_task_has_its_tox_environment():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    prefix = "testenv:reproduce-"
    commands = {name.removeprefix(prefix): tox[name]["commands"] for name in tox.sections() if name.startswith(prefix)}
    assert list(commands) == list(PAPER_TASKS)
    for task, command in commands.items():
        assert command.split() == ["{[reproduce]command}", task, "{posargs}"]
    # tox does not resolve a reference here, and the variables that name data and encoders would be lost.
    assert "FASTBERT_*" in tox["testenv:suite"]["pass_env"]
    for name in ("reproduce", "testenv:bench", "testenv:regression"):
        assert tox[name]["pass_env"] == tox["testenv:suite"]["pass_env"]


def test_tox_lets_what_is_interrupted_end_by_itself():
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    alone, interrupted = (float(tox["testenv"][name]) for name in ("suicide_timeout", "interrupt_timeout"))
    assert alone >= 8  # seconds, as many as a step of the larger encoder takes
    assert interrupted > 2 * alone  # each tox in the chain waits before it passes the signal on
    for name in ("suicide_timeout", "interrupt_timeout"):  # whose base is not [testenv]
        assert tox["reproduce"][name] == f"{{[testenv]{name}}}"


def test_the_page_of_commands_names_every_one():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    for command in ("list", "run", "measure", "rules", "budget", "flops", "luha", "ablation", "check"):
        assert f"python -m reproductions {command}" in page
