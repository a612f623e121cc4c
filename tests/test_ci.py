"""The workflow of GitHub Actions says what the README and tox say."""

import configparser
import re
import tomllib
from pathlib import Path

import pytest
import yaml

ROOT = Path(__file__).parent.parent


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


def test_the_gate_runs_on_the_base_first_and_both_are_told(workflow):
    tox = configparser.ConfigParser(interpolation=None)
    tox.read(ROOT / "tox.ini", encoding="utf-8")
    assert "testenv:regression" in tox
    base, change, told = (step for step in workflow["jobs"]["regression"]["steps"] if "name" in step)
    assert base["continue-on-error"] is True
    assert "pull_request" in base["if"]
    for step, name in ((base, "base"), (change, "head")):
        assert f'tox -e regression -- --report "$RUNNER_TEMP/{name}.csv"' in step["run"]
        assert f'"$RUNNER_TEMP/{name}.csv"' in told["run"]
    assert "reproductions.gate.summary" in told["run"]
    assert "$GITHUB_STEP_SUMMARY" in told["run"]


def test_it_covers_the_least_python_that_the_project_takes_and_those_after(workflow):
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    versions = workflow["jobs"]["suite"]["strategy"]["matrix"]["python"]
    assert f">={versions[0]}" == project["requires-python"]
    assert versions == [f"3.{minor}" for minor in range(11, 11 + len(versions))]


def test_actions_are_of_a_major_version_and_may_only_read(workflow):
    assert workflow["permissions"] == {"contents": "read"}
    assert workflow["concurrency"]["cancel-in-progress"] is True
    for job in workflow["jobs"].values():
        assert "permissions" not in job
        for action in (step["uses"] for step in job["steps"] if "uses" in step):
            assert re.fullmatch(r"actions/[a-z-]+@v\d+", action)
