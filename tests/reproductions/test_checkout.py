"""What is committed is written with --publish alone, wherever a command is called from and however a path is spelt."""

import shutil

import pytest

from reproductions import cli, pages
from reproductions.checkout import ROOT, committed, is_committed
from reproductions.measure import measure
from reproductions.tables import read_table
from tests.factories import make_task, store

pytestmark = pytest.mark.usefixtures("few_draws")


@pytest.fixture(scope="module")
def measured(tmp_path_factory, few_draws):
    folder = store(tmp_path_factory.mktemp("measured") / "results" / "standard", make_task("book-review", samples=40))
    measure(folder)
    return folder.parent


@pytest.fixture
def checkout(measured, tmp_path, monkeypatch):
    """A checkout with committed results, seen from a folder elsewhere that has a results/ and a docs/ too."""
    root, elsewhere = tmp_path / "checkout", tmp_path / "elsewhere"
    shutil.copytree(measured, root / "results")
    (root / "tox.ini").touch()
    for name in ("docs", "results"):
        (elsewhere / name).mkdir(parents=True)
    monkeypatch.setattr("reproductions.checkout.ROOT", root)
    monkeypatch.chdir(elsewhere)
    return root


def times(folder):
    """When each path below was last written, locks and the folders that they come and go in aside."""
    return {path: path.stat().st_mtime_ns for path in folder.rglob("*") if path.is_file() and path.name != ".lock"}


@pytest.mark.parametrize(
    ("words", "told"),
    [(["luha", "book-review"], "classifier"), (["ablation", "book-review"], "FastBERT"), (["flops"], "Table 1: BERT")],
)
def test_what_prints_writes_nothing(checkout, tmp_path, words, told, monkeypatch, capsys):
    before = times(tmp_path)
    counted = read_table(ROOT / "results" / "paper", "table1")  # to count it anew takes half a minute
    monkeypatch.setattr("reproductions.table1.table", lambda: counted)
    assert cli.main(words) == 0
    assert told in capsys.readouterr().out
    assert times(tmp_path) == before


def test_flops_is_published_into_the_checkout(checkout, monkeypatch, capsys):
    asked = []
    monkeypatch.setattr("reproductions.flops.write_paper", lambda *where: asked.append(where) or where)
    assert cli.main(["flops", "--publish"]) == 0
    assert asked == [(checkout / "results",)]
    assert cli.main(["flops", "--publish", "--tokens", "64"]) == 2
    assert "expected one of them" in capsys.readouterr().err


def test_measuring_is_published_into_the_checkout(checkout, tmp_path):
    (checkout / "results" / "standard" / "luha.csv").unlink()
    (checkout / "docs").mkdir()
    (checkout / "docs" / "questions.md").write_text(f"{pages.BEGIN}students -->\n{pages.END}\n")
    assert cli.main(["measure", "--publish"]) == 0
    assert (checkout / "results" / "standard" / "luha.csv").is_file()
    assert "| book-review |" in (checkout / "docs" / "questions.md").read_text()
    assert times(tmp_path / "elsewhere") == {}


def test_what_is_not_published_lands_in_runs(checkout, tmp_path, capsys):
    before = times(checkout)
    shutil.copytree(checkout / "results", "runs")
    (tmp_path / "elsewhere" / "runs" / "standard" / "luha.csv").unlink()
    assert cli.main(["measure"]) == 0
    assert "runs/standard/luha.csv" in capsys.readouterr().out
    assert times(checkout) == before
    assert not list((tmp_path / "elsewhere" / "docs").iterdir())


@pytest.mark.parametrize("command", [["measure"], ["run", "book-review"]])
def test_the_committed_results_are_refused_however_they_are_spelt(checkout, tmp_path, command, monkeypatch, capsys):
    (tmp_path / "link").symlink_to(checkout / "results")
    before = times(tmp_path)
    monkeypatch.chdir(checkout)
    for spelt in ("results", "./results/", str(checkout / "results"), "results/../results", str(tmp_path / "link")):
        assert cli.main([*command, "--results-dir", spelt]) == 2
        assert "found the committed results, expected --publish or another folder" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        cli.main([*command, "--publish", "--results-dir", "runs"])
    assert stop.value.code == 2
    assert times(tmp_path) == before


def test_nothing_is_published_without_a_checkout(checkout, tmp_path, capsys):
    (checkout / "tox.ini").unlink()
    before = times(tmp_path)
    for words in (["measure", "--publish"], ["run", "book-review", "--publish"], ["flops", "--publish"], ["check"]):
        assert cli.main(words) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line.startswith(f"error: {checkout}: found no checkout of the suite, expected one that holds results")
    assert times(tmp_path) == before


def test_the_gate_says_at_once_that_there_are_no_results(checkout, monkeypatch, capsys):
    monkeypatch.setattr("reproductions.check.trained", None)  # which would train first
    for words in ([], ["--tier", "live", "--tier", "exact"]):
        assert cli.main(["check", *words, "--results-dir", "results"]) == 2
        (line,) = capsys.readouterr().err.splitlines()
        assert line == ("error: results/standard: found no such folder, expected the results of profile standard")


def test_the_pages_are_those_of_the_checkout(checkout, tmp_path, capsys):
    for path, name in ((checkout / "README.md", "table2"), (checkout / "results" / "README.md", "columns")):
        path.write_text(f"a\n{pages.BEGIN}{name} -->\n{pages.END}\n")
    assert pages.main([]) == 0
    assert capsys.readouterr().out.splitlines() == [str(checkout / name) for name in ("README.md", "results/README.md")]
    assert "| book-review " in (checkout / "README.md").read_text()
    assert "| `luha.csv` |" in (checkout / "results" / "README.md").read_text()
    assert times(tmp_path / "elsewhere") == {}


def test_paths_of_the_checkout_are_told_as_seen_from_where_one_is(monkeypatch, tmp_path):
    monkeypatch.chdir(ROOT)
    assert str(committed("docs", "audit.md")) == "docs/audit.md"
    assert is_committed("results", "results")
    monkeypatch.chdir(tmp_path)
    assert committed("docs") == ROOT / "docs"
    assert not is_committed("results", "results")
