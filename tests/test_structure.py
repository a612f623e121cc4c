"""What holds the project together: imports go down only, tox knows every task, and a page every command.

And it stays small enough to clone.
"""

import re
from graphlib import TopologicalSorter

import pytest

from fastbert_core.tasks import PAPER_TASKS
from reproductions import cli
from tests.project import ROOT, files, imported, modules, tox

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
        for name in "checkout columns machines names repeats show significance speeds store tables".split()
    ),
    *(f"fastbert_core.{name}" for name in "arguments errors exit_rules files flops tasks".split()),
}


@pytest.mark.parametrize("package", ALLOWED)
def test_imports_go_down_only(package):
    assert modules(package)
    for path, tree in modules(package).items():
        ours = {name for name in imported(tree) if name.split(".")[0] in ALLOWED}
        foreign = {name for name in ours if name.split(".")[0] not in ALLOWED[package]}
        assert not foreign, f"{path} imports {foreign}"


def is_module(name):
    path = ROOT / name.replace(".", "/")
    return path.with_suffix(".py").is_file() or (path / "__init__.py").is_file()


def test_no_module_imports_itself_by_way_of_others():
    graph = {}
    for path, tree in modules(*ALLOWED).items():
        name = path.removesuffix(".py").replace("/", ".").removesuffix(".__init__")
        graph[name] = {other for other in imported(tree) if other.split(".")[0] in ALLOWED and is_module(other)} - {
            name
        }
    TopologicalSorter(graph).prepare()  # which raises CycleError, naming the modules


def test_figures_read_these_modules_and_no_other():
    names = {name for tree in modules("plots").values() for name in imported(tree)}
    assert {name for name in names if is_module(name) and name.split(".")[0] != "plots"} == PLOTS_READ


def test_every_task_has_its_tox_environment():
    name = f"testenv:reproduce-{{{','.join(PAPER_TASKS)}}}"
    lines = [f"{task}: {{[testenv]python}} -m reproductions run {task} {{posargs}}" for task in PAPER_TASKS]
    assert tox()[name]["commands"].split("\n") == ["", *lines]
    # What names data and encoders reaches every environment but those whose own list it is.
    assert "FASTBERT_*" in tox()["testenv"]["pass_env"]
    own = {section for section in tox().sections() if section != "testenv" and "pass_env" in tox()[section]}
    assert own == {f"testenv:{name}" for name in ("audit", "bench-rivals", "scale", "browser")}


def test_tox_lets_what_is_interrupted_end_by_itself():
    alone, interrupted = (float(tox()["testenv"][name]) for name in ("suicide_timeout", "interrupt_timeout"))
    assert alone >= 8  # seconds, as many as a step of the larger encoder takes
    assert interrupted > 2 * alone  # each tox in the chain waits before it passes the signal on
    assert not any("base" in section for section in tox().values())  # else it would not be [testenv]


def test_the_page_of_commands_names_every_one():
    page = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
    (commands,) = (action.choices for action in cli._parser()._actions if action.choices)
    assert set(re.findall(r"python -m reproductions (\w+)", page)) == set(commands)


def test_all_files_together_are_less_than_70_megabytes():
    assert sum((ROOT / name).stat().st_size for name in files()) < 70e6
