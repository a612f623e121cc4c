"""Command lines: whatever words they are made of, they end with an exit code, and bad ones in one line."""

import shutil
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from matplotlib.figure import Figure

from fastbert_core import hub
from fastbert_core.errors import RunError
from fastbert_core.tasks import TASKS
from plots import cli as plots_cli
from plots import gallery
from plots.registry import FIGURES
from reproductions import checkout, cli
from reproductions.check import EXPECTED
from reproductions.measure import measure
from reproductions.names import PROFILES
from reproductions.tables import read_table
from tests.factories import load_traces, make_trace, store
from tests.fuzz.harness import contents, fuzz, no_hang

SUBCOMMANDS = next(action for action in cli._parser()._actions if action.choices).choices
TABLE1 = read_table(checkout.ROOT / "results" / "paper", "table1")  # to count takes seconds
GOOD = {  # by what an option or argument is called: what it may well be
    "results_dir": ("good", "broken", "link", "empty", "r\udcff", "a b"),
    "data_dir": ("data", "empty"),
    "backbone": ("encoder", "empty"),
    "task_file": ("my.toml", "bad.toml"),
    "report": ("report.csv", "none/report.csv"),
    "output": ("report.html",),
    "task": tuple(TASKS),
    "tasks": (*TASKS, "all"),
    "seed": ("0", "7", "18446744073709551615"),
    "train_rows": ("1", "40", "all"),
    "tokens": ("1", "64", "512", "513"),
    "classes": ("1", "2", "14"),
    "exit_layer": ("1", "12", "13"),
}
ODD = (
    *"none none/deep good/standard/runs.csv file.txt loop . .. - -- ~ ~nobody /dev/null ../x DBpedia -h é".split(),
    *("", "x" * 300, "new\nline", "\u2028", "\udc80"),
    *("@file", "%s", "{}", "\\", "nan", "all", " 1", "-1", "1.5", "1e3", "²", "\u0664", "9" * 30, "9" * 5000),
    "18446744073709551616",
)
text = st.text(st.characters(exclude_categories=["Cs"], exclude_characters="\0/~"), max_size=5)


def words_of(draw, action):
    """An option or an argument with its value, mostly a good one."""
    good = sorted(action.choices) if action.choices else GOOD.get(action.dest, ("text",))
    value = draw(st.sampled_from(good) if draw(st.integers(0, 9)) else st.sampled_from(ODD) | text)
    option = [draw(st.sampled_from(action.option_strings))] if action.option_strings else []
    return [*option, *[value] * (action.nargs != 0)]


@st.composite
def command_lines(draw, options_of):
    """A command with what belongs to it, and now and then a word too many. `options_of`: command -> its actions."""
    words = [command] if (command := draw(st.sampled_from(sorted(options_of)))) else []
    actions = [action for action in options_of[command] if action.dest != "help"]
    for action in draw(st.permutations(actions)):
        if draw(st.integers(0, 9)) < (3 if action.option_strings else 9 if action.nargs != "*" else 6):
            words += words_of(draw, action)
    if draw(st.integers(0, 19)) == 0:
        words.insert(draw(st.integers(0, len(words))), draw(st.sampled_from(ODD) | text))
    return words


@pytest.fixture(scope="module")
def world(tmp_path_factory):
    """A working directory with good and bad folders and files in it, where nothing can be fetched or trained."""
    folder = tmp_path_factory.mktemp("world")
    for name in ("good", "r\udcff"):
        measure(store(folder / name / "standard", [make_trace(8)]))
    (folder / "broken" / "standard" / "traces" / "dbpedia").mkdir(parents=True)
    (folder / "broken" / "standard" / "runs.csv").write_text("run_id\n\0\n")
    (folder / "broken" / "standard" / "traces" / "dbpedia" / "x.npz").write_text("")
    for split in ("train", "dev", "test"):
        path = folder / "data" / "book-review" / f"{split}.tsv"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text("label\ttext_a\n0\tone\n1\ttwo\n")
    for name in ("encoder", "empty", "a b", "new\nline"):
        (folder / name).mkdir()
    (folder / "encoder" / "config.json").write_text("[]")
    (folder / "file.txt").write_text("text")
    (folder / "tox.ini").touch()  # it is a checkout
    files = "".join(f'{split} = "data/book-review/{split}.tsv"\n' for split in ("train", "dev", "test"))
    (folder / "my.toml").write_text(f'name = "mine"\nlanguage = "en"\nlabels = ["no", "yes"]\n{files}')
    (folder / "bad.toml").write_text("name = [[[")
    (folder / "loop").symlink_to("loop")
    (folder / "link").symlink_to("good")
    with pytest.MonkeyPatch.context() as patch:
        patch.chdir(folder)
        patch.setenv("FASTBERT_RUNS", str(tmp_path_factory.mktemp("runs")))
        patch.setenv("XDG_CACHE_HOME", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(hub, "hub_reachable", lambda: False)
        yield folder


@pytest.fixture
def no_work(monkeypatch, world, tmp_path):
    """What takes long, fetches, or writes outside the working directory, taken out."""

    def stop(*_, **__):
        raise RunError("this is as far as it goes")

    def glance(results_dir, *_):
        load_traces(results_dir)
        return [results_dir / "table2.csv"]

    for module in ("measure", "run"):
        monkeypatch.setattr(f"reproductions.{module}.measure", glance)
    monkeypatch.setattr("reproductions.check.measured", lambda results_dir: glance(results_dir) and {})
    monkeypatch.setattr("reproductions.run.execute", stop)
    monkeypatch.setattr("fastbert_core.packaged.fetch_wheel", stop)
    monkeypatch.setattr("reproductions.table1.table", lambda: TABLE1)
    monkeypatch.setattr("reproductions.checkout.ROOT", world)
    monkeypatch.setattr("reproductions.dry_run._seconds_of_a_layer", lambda *_: 1e-4)
    monkeypatch.setattr("reproductions.flops.fixed_numbers", dict)
    monkeypatch.setattr("reproductions.check.trained", lambda *_: ({}, []))
    monkeypatch.setattr("reproductions.check.EXPECTED", Path(shutil.copy(EXPECTED, tmp_path)))


@given(words=command_lines({name: command._actions for name, command in SUBCOMMANDS.items()}))
@fuzz(150)
def test_reproductions(world, no_work, capsys, words):
    code, error = run(cli.main, words, world, capsys)
    assert code in (0, 1, 2)
    errors = [line for line in error.splitlines() if line.startswith("error: ")]
    assert len(errors) in ((0,), (0, 1), (1,))[code]  # a check that fails has no error to tell, only its table


def run(main, words, world, capsys):
    """The exit code of a command line, and what it said on stderr.

    Fails if bad input has changed or left a file.
    """
    before = contents(world)
    capsys.readouterr()
    sys.stderr.reconfigure(errors="backslashreplace")  # as it is where pytest does not capture it
    try:
        with no_hang():
            code = main(words)
    except SystemExit as stop:  # of argparse, where it is asked for help or refuses a word
        code = stop.code
    if code == 2:
        assert contents(world) == before
    error = capsys.readouterr().err
    assert "Traceback" not in error
    return code, error


@pytest.fixture
def blank(monkeypatch, world):
    """One figure in the place of all, and an empty one, which is quick; nothing is read from the checkout."""
    drawing = FIGURES["exit_layers"]._replace(draw=lambda tables: Figure((1, 1)))
    monkeypatch.setattr(gallery, "FIGURES", {"exit_layers": drawing})
    monkeypatch.setattr(checkout, "ROOT", world)


plots_options = st.tuples(
    st.sampled_from(("--results-dir", "--profile", "--results", "x", "-h")),
    st.sampled_from((*GOOD["results_dir"], *PROFILES) * 3 + ODD) | text,
)


@given(words=st.lists(plots_options, max_size=3))
@fuzz(60)
def test_plots(world, blank, capsys, words):
    code, error = run(plots_cli.main, [word for pair in words for word in pair], world, capsys)
    assert code in (0, 1, 2)
    assert all(line.startswith("error: ") for line in error.splitlines())
    assert bool(error) == (code != 0)
