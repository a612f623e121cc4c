"""Every `python -m X`: asked for help it writes nothing, what nobody reads is no error, and it starts light."""

import os
import runpy
import subprocess
import sys

import pytest

from fastbert_core.tasks import TASKS
from tests.project import ROOT, files

PACKAGES = ("fastbert_core", "reproductions", "plots", "bench", "tests")


def entry_points():
    """(name, path) of each."""
    for path in sorted(path for package in PACKAGES for path in (ROOT / package).rglob("*.py")):
        parts = path.relative_to(ROOT).with_suffix("").parts
        if parts[-1] == "__main__":
            yield ".".join(parts[:-1]), path
        elif "\nif __name__ == " in path.read_text(encoding="utf-8"):
            yield ".".join(parts), path


def python(*words, cwd, **options):
    """Run the interpreter in `cwd`, which is the home folder too, as a user elsewhere would."""
    variables = os.environ | {"PYTHONPATH": str(ROOT), "HOME": str(cwd), "PYTHONDONTWRITEBYTECODE": "1"}
    variables |= options.pop("env", {})
    given = {"stdout": subprocess.PIPE, "stderr": subprocess.PIPE} | options
    return subprocess.run([sys.executable, *words], cwd=cwd, env=variables, text=True, **given)


def times():
    """When each file that git knows, or would take in, was last written; other tests may write ignored ones."""
    return {name: (ROOT / name).stat().st_mtime_ns for name in files()}


def test_help_is_printed_and_nothing_is_written(tmp_path, monkeypatch, capsys):
    paths, before = dict(entry_points()), times()
    assert {"reproductions", "reproductions.pages", "plots.report", "bench.report", "tests.mutation"} <= paths.keys()
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("HOME", str(tmp_path))
    for name, path in paths.items():
        monkeypatch.setattr(sys, "argv", [name, "--help"])
        with pytest.raises(SystemExit) as stop:
            runpy.run_path(str(path), run_name="__main__")
        said = capsys.readouterr()
        assert (stop.value.code, said.err) == (0, ""), name
        assert said.out.startswith(f"usage: python -m {name} "), name
    assert list(tmp_path.iterdir()) == []
    assert times() == before


@pytest.mark.parametrize(("module", "words"), [("reproductions", "--help"), ("reproductions", "list"), ("plots", "-h")])
def test_help_and_the_list_of_tasks_load_no_heavy_library(module, words, tmp_path):
    code = f"""
import atexit, runpy, sys
heavy = {{"torch", "transformers", "datasets", "pandas", "matplotlib", "scipy"}}
atexit.register(lambda: print(heavy & set(sys.modules), file=sys.stderr))
sys.argv = ["x", "{words}"]
runpy.run_module("{module}", run_name="__main__")
"""
    assert python("-c", code, cwd=tmp_path).stderr == "set()\n"


def test_a_closed_standard_output_is_no_error(tmp_path):
    words = ["sh", "-c", 'exec "$@" >&- 2>err', "sh", sys.executable, "-m", "reproductions"]
    variables = os.environ | {"PYTHONPATH": str(ROOT)}
    for word, code, told in (("list", 0, 0), ("walk", 2, 1)):
        assert subprocess.run([*words, word], cwd=tmp_path, env=variables).returncode == code
        assert len((tmp_path / "err").read_text().splitlines()) == told


def test_what_is_opened_next_is_not_taken_for_a_closed_standard_output(tmp_path):
    code = """
import os
from fastbert_core.arguments import exit_code
def write():
    with open("table.csv", "w") as file:
        os.system("echo noise")
        print("more noise")
        file.write("a,b")
    return 0
exit_code(write)
"""
    words = ["sh", "-c", 'exec "$@" <&- >&- 2>&-', "sh", sys.executable, "-c", code]
    assert subprocess.run(words, cwd=tmp_path, env=os.environ | {"PYTHONPATH": str(ROOT)}).returncode == 0
    assert (tmp_path / "table.csv").read_text() == "a,b"


@pytest.mark.parametrize(("word", "unbuffered"), [("list", ""), ("list", "1"), ("--help", "")])
def test_a_reader_that_has_enough_ends_it_without_a_word(word, unbuffered, tmp_path):
    reading, writing = os.pipe()
    os.close(reading)
    with open(writing, "wb") as unread:
        done = python("-m", "reproductions", word, cwd=tmp_path, stdout=unread, env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, done.stderr) == (141, "")


@pytest.mark.skipif(not os.path.exists("/dev/full"), reason="there is no device that is always full")
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_output_that_cannot_be_written_is_one_line(unbuffered, tmp_path):
    with open("/dev/full", "w") as full:
        done = python("-m", "reproductions", "list", cwd=tmp_path, stdout=full, env={"PYTHONUNBUFFERED": unbuffered})
    assert (done.returncode, done.stderr) == (1, "error: input or output: No space left on device\n")


def test_a_log_has_each_line_of_the_list_of_tasks_as_it_is_told(tmp_path):
    """Hours before a training ends, or is killed."""
    killed = "import os; from reproductions import cli; cli.main(['list']); print('told'); os._exit(1)"
    done = python("-c", killed, cwd=tmp_path, env={"PYTHONUNBUFFERED": ""})
    assert [line.split()[0] for line in done.stdout.splitlines()] == [*TASKS, "told"]
