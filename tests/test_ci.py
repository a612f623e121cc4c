"""The workflow of GitHub Actions says what the README and tox say."""

import re
import subprocess
import sys
import tomllib

import pytest
import yaml

from reproductions.claims import Finding
from tests.project import ROOT, tox

COMPARE = ROOT / ".github" / "compare_reports.py"


@pytest.fixture(scope="module")
def workflow():
    return yaml.safe_load((ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8"))


def commands(job):
    return "\n".join(step.get("run", "") for step in job["steps"])


def test_it_runs_what_the_readme_says(workflow):
    readme = (ROOT / "README.md").read_text(encoding="utf-8")
    for command in ("python -m pip install tox && tox", "make plots"):
        assert command in commands(workflow["jobs"]["suite"])
        assert command in readme


def test_environments_and_scripts_that_it_runs_are_there(workflow):
    run = "\n".join(map(commands, workflow["jobs"].values()))
    environments = re.findall(r"tox -e ([\w-]+)", run)
    environments += workflow["jobs"]["optional"]["strategy"]["matrix"]["environment"]
    assert "regression" in environments
    assert {f"testenv:{name}" for name in environments} <= {*tox().sections()}
    assert {COMPARE} == {ROOT / name for name in re.findall(r"python (\S+\.py)", run)}


def test_it_covers_the_least_python_that_the_project_takes_and_those_after(workflow):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = workflow["jobs"]["suite"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == project["requires-python"]
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]


def test_it_may_only_read(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert not any("permissions" in job for job in workflow["jobs"].values())


def compared(*reports):
    """The lines that tell of two reports of the gate."""
    command = [sys.executable, str(COMPARE), *map(str, reports)]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()


def report(path, accuracy, layers, ok):
    """A report of three claims: two numbers and a file."""
    live = ("live", "dbpedia", "smoke")
    rows = [
        Finding._fields,
        Finding(*live, "accuracy", "90.25", accuracy, "", "1", "yes"),
        Finding(*live, "mean layers", "4.000", layers, "", "0.150", ok),
        Finding("exact", "", "standard", "table2.csv", "same bytes", "same bytes", "", "0", "yes"),
    ]
    path.write_text("".join(",".join(row) + "\n" for row in rows))
    return path


def test_what_a_change_finds_otherwise_is_told_failures_first(tmp_path):
    base = report(tmp_path / "base.csv", "90.25", "4.000", "yes")
    head = report(tmp_path / "head.csv", "90.00", "4.500", "no")
    lines = compared(base, head)
    assert lines[2] == "2 of 3 claims hold; 2 found otherwise than in the base."
    assert lines[6:] == [
        "| live dbpedia smoke mean layers | 4.000 | 4.500 | +0.500 | 0.150 | no |",
        "| live dbpedia smoke accuracy | 90.25 | 90.00 | -0.25 | 1 | yes |",
    ]


def test_a_base_without_a_gate_is_no_error_and_the_live_numbers_are_told(tmp_path):
    lines = compared(tmp_path / "none.csv", report(tmp_path / "head.csv", "90.25", "", "no"))
    assert lines[2] == "2 of 3 claims hold; there is no base to compare with."
    assert lines[6:] == [
        "| live dbpedia smoke mean layers |  |  |  | 0.150 | no |",
        "| live dbpedia smoke accuracy |  | 90.25 |  | 1 | yes |",
    ]
