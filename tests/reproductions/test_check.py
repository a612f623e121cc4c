"""The gate: what is as it was passes, what was tampered with fails by name, and claims change with a reason only."""

import csv
import json
import re
import shutil
from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproductions import check, check_training, cli, flops, pages
from reproductions.check_training import above_baseline, repeated, trained_numbers
from reproductions.claims import Claim, held, read_claims, same_files, updated
from reproductions.measure import measure
from reproductions.tables import read_table, table_path, write_table
from tests.factories import change_run, make_trace, store, trace_file

PROJECT = Path(__file__).parents[2]
PLACE = ("live", "dbpedia", "smoke")
GOOD = "live,dbpedia,smoke,accuracy,71.5,1,a run,noise,"
pytestmark = pytest.mark.usefixtures("few_draws")


def replace(path, old, new):
    """Put `new` in the place of the first `old` in a text file."""
    text = path.read_text()
    assert old in text
    path.write_text(text.replace(old, new, 1))


@pytest.fixture(scope="module")
def kept(tmp_path_factory, few_draws):
    """A results folder in order: one small task of the smoke profile, quick to measure."""
    results = tmp_path_factory.mktemp("kept")
    traces = [make_trace(40, training=training) for training in ("self-distillation", "labels", "reverse-kl")]
    traces += [make_trace(40, split="dev"), make_trace(40, split="dev", epoch=3, stage="self-distillation")]
    folder = store(results / "smoke", traces, profile="smoke")
    measure(folder)
    return results


@pytest.fixture
def copy(kept, tmp_path):
    """A copy to tamper with: the profile's folder."""
    return Path(shutil.copytree(kept, tmp_path / "results")) / "smoke"


@pytest.fixture
def gate(tmp_path):
    """Runs the exact tier on a profile's folder: the exit code, and the failing rows of the report by metric."""

    def checked(folder, *options):
        report = tmp_path / "report.csv"
        arguments = ["--profile", "smoke", "--results-dir", str(folder.parent), "--report", str(report), *options]
        code = cli.main(["check", "--tier", "exact", *arguments])
        with open(report, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) > 15
        return code, {row["metric"]: row for row in rows if row["ok"] != "yes"}

    return checked


def doubted(folder):
    """What the gate says of a profile's runs and traces that are not in order, by metric."""
    return {finding.metric: finding.found for finding in check.provenance(folder) if finding.ok != "yes"}


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A copy of the claims, which the gate reads and updates."""
    path = Path(shutil.copy(check.EXPECTED, tmp_path / "expected.csv"))
    monkeypatch.setattr(check, "EXPECTED", path)
    return path


def test_what_is_in_order_passes_and_locks_and_halves_are_no_files(copy, gate, capsys):
    (copy / ".lock").touch()
    (copy / "traces" / ".x.npz.partial").touch()
    assert gate(copy) == (0, {})
    assert re.fullmatch(r"exact: (\d+) of \1 as expected\n", capsys.readouterr().out)


def test_a_changed_digit_is_named_by_line_and_column(copy, gate, capsys):
    path = table_path(copy, "table2")
    lines = path.read_text().splitlines()
    accuracy = lines[2].split(",")[3]
    path.write_text("\n".join([*lines[:2], lines[2].replace(f",{accuracy},", ",12.34,", 1), *lines[3:]]) + "\n")
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["table2.csv, line 3, accuracy"])
    row = failed["table2.csv, line 3, accuracy"]
    assert (row["tier"], row["profile"], row["expected"], row["found"]) == ("exact", "smoke", "12.34", accuracy)
    assert Decimal(row["difference"]) == Decimal(accuracy) - Decimal("12.34")
    printed = capsys.readouterr().out
    assert all(text in printed for text in (*failed, "expected", "found", "difference", "allowed"))


@pytest.mark.parametrize(
    ("spoilt", "named"),
    [
        ("a,b\n1,2\n5,6\n", "line 3, a"),
        ("a,b\n1,2\n3,4\n", "line 4, a"),
        ("a,b\r\n1,2\n3,4\n5,6\n", "line 1"),
        ("a,ba\rb1,2\n3,4\n5,6\n", "line 1"),
        ('a,b"1,2\n3,4\n5,6\n', 'line 1, b"1'),
    ],
)
def test_a_missing_row_and_a_line_that_is_none_of_a_csv_are_named(tmp_path, spoilt, named):
    paths = tmp_path / "kept.csv", tmp_path / "made.csv"
    for path, text in zip(paths, (spoilt, "a,b\n1,2\n3,4\n5,6\n"), strict=True):
        path.write_bytes(text.encode())
    finding = same_files(PLACE, "t.csv", *paths)
    assert (finding.metric, finding.ok) == (f"t.csv, {named}", "no")


def test_a_page_whose_block_is_not_of_the_tables_is_named(tmp_path, monkeypatch):
    monkeypatch.setitem(pages.BLOCKS, "mine", lambda tables: "new")
    page = tmp_path / "page.md"
    page.write_text(f"a\n{pages.BEGIN}mine -->\n\nold\n\n{pages.END}\n")
    (finding,) = check.made_page(page)
    assert finding.metric.endswith("page.md, line 4")
    assert (finding.expected, finding.found, finding.ok) == ("old", "new", "no")


def test_missing_and_foreign_files_are_named(copy, gate):
    table_path(copy, "luha").unlink()
    (copy / "mine.csv").write_text("task\n")
    code, failed = gate(copy)
    assert (code, len(failed)) == (1, 2)
    assert (failed["luha.csv"]["expected"], failed["luha.csv"]["found"]) == ("no file", "a file")
    assert (failed["mine.csv"]["expected"], failed["mine.csv"]["found"]) == ("a file", "no file")


def test_what_no_trace_gives_is_not_asked_of_the_traces(copy, gate):
    """`flops --publish` puts table 1 where the runs of profile paper lie too."""
    (copy / "table1.csv").write_text("unit\n")
    (copy / "notes.txt").write_text("mine\n")
    code, failed = gate(copy)
    assert (code, {*failed}) == (1, {"notes.txt", "table1.csv"})
    findings = [*check.remeasured(copy.rename(copy.with_name("paper")))]
    assert [finding.metric for finding in findings if finding.ok != "yes"] == ["notes.txt"]


def test_a_table_that_the_traces_no_longer_allow_is_named(copy, gate):
    path = trace_file(copy, "epoch-3.npz")
    path.unlink()
    sums = json.loads(path.with_name("run.json").read_text())["traces"]
    change_run(copy, {"traces": {name: digest for name, digest in sums.items() if name != path.name}})
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["convergence.csv"])


def test_a_flipped_byte_of_a_trace_is_named(copy, gate):
    path = trace_file(copy)
    content = bytearray(path.read_bytes())
    content[len(content) // 2] ^= 1
    path.write_bytes(content)
    code, failed = gate(copy)
    name = path.relative_to(copy).as_posix()
    assert (code, set(failed)) == (1, {name, "measured from the traces"})
    assert failed[name]["found"] == check.sha256(path)
    assert failed["measured from the traces"]["found"].startswith(f"{path}: ")


def test_missing_and_foreign_traces_are_named(copy):
    path = trace_file(copy, "epoch-3.npz")
    moved = path.rename(path.with_name("epoch-33.npz"))
    missing, foreign = (name.relative_to(copy).as_posix() for name in (path, moved))
    assert doubted(copy) == {missing: "no file", foreign: "a file"}


def test_a_run_must_name_clean_code_and_leave_a_test_trace(copy):
    runs, trainings = read_table(copy, "runs"), ("self-distillation", "labels", "reverse-kl")
    changes = ({"git_dirty": "yes"}, {"git_sha": None, "git_dirty": None}, {"git_dirty": None})
    for training, change in zip(trainings, changes, strict=True):
        change_run(copy, change, training=training)
    dirty, bare, unknown = (f"run {run}, code" for run in runs.set_index("training")["run_id"][[*trainings]])
    assert doubted(copy) == {dirty: f"{'0' * 40} and changes to it", bare: "no commit", unknown: "no commit"}
    change_run(copy, {"traces": {}}, training="labels")
    run_id = runs.loc[runs["training"] == "labels", "run_id"].iloc[0]
    assert doubted(copy)[f"run {run_id}, test trace"] == "no file"


def test_a_table_of_trainings_without_traces_keeps_its_form_and_must_name_clean_code(copy, gate):
    path = Path(shutil.copy(PROJECT / "results" / "standard" / "grid.csv", copy))
    sha = read_table(copy, "grid")["git_sha"].iloc[0]
    assert gate(copy) == (0, {})
    replace(path, f"{sha},no,", f"{sha},yes,")
    assert doubted(copy) == {"grid.csv, code": "a commit and changes to it"}
    replace(path, f"{sha},yes,", f"{sha},perhaps,")
    assert f"{path}, line" in doubted(copy)["runs"]


def test_runs_out_of_order_are_named(copy, gate):
    change_run(copy, {"profile": "quick"})
    code, failed = gate(copy)
    assert (code, set(failed)) == (1, {"measured from the traces", "runs"})
    assert all("run.json: profile: found quick" in row["found"] for row in failed.values())


def test_the_committed_count_is_held_against_todays(copy, gate, monkeypatch):
    paper = PROJECT / "results" / "paper"
    monkeypatch.setattr(flops, "write_paper", lambda folder: Path(shutil.copy(paper / "table1.csv", folder)))
    shutil.copytree(paper, copy.parent / "paper")
    replace(copy.parent / "paper" / "table1.csv", "21785247744", "21785247745")
    ((metric, row),) = gate(copy)[1].items()
    assert re.fullmatch(r"paper/table1\.csv, line \d+, analytic", metric)
    assert (row["found"], row["difference"]) == ("21785247744", "-1")


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--update"], "expected --update and --reason together"),
        (["--reason", "why"], "expected --update and --reason together"),
        (["--update", "--reason", " \n "], "expected --update and --reason together"),
    ],
)
def test_bad_arguments_are_one_line_and_exit_2(arguments, message, capsys):
    assert cli.main(["check", *arguments]) == 2
    assert message in capsys.readouterr().err


def test_claims_and_what_is_counted_belong_together():
    claims = read_claims(check.EXPECTED)
    exact = {claim.metric: claim for claim in claims if claim.tier == "exact"}
    assert exact.keys() <= flops.fixed_numbers().keys()
    assert len(exact) == 14
    assert all(Decimal(claim.tolerance) == 0 for metric, claim in exact.items() if not metric.endswith("speedup"))
    assert any(claim.tier == "live" for claim in claims)


def test_claims_of_real_text_are_the_committed_rows_of_the_seed_that_is_trained(tmp_path):
    runs = [path.parent for path in (PROJECT / "results/packaged/traces/reuters-r8").glob("all-MiniLM*-seed7/run.json")]
    for run in runs:
        shutil.copytree(run, tmp_path / "traces" / "reuters-r8" / run.name)
    measure(tmp_path)
    rows = trained_numbers("real", tmp_path, "reuters-r8")
    claims = [claim for claim in read_claims(check.EXPECTED) if claim.tier == "real"]
    assert len([claim for claim in claims if claim.metric.endswith(": mflops")]) == 4  # the teacher and three speeds
    for claim in claims:
        assert Decimal(rows[claim[:4]]) == Decimal(claim.expected), claim.metric


def test_a_wrong_number_fails_until_it_is_updated_with_a_reason(copy, gate, own):
    before = read_claims(own)
    replace(own, "21785247744", "21785247743")
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["12x768, BERT, 12 layers + teacher: FLOPs"])
    (row,) = failed.values()
    assert [row[c] for c in ("expected", "found", "difference", "allowed")] == ["21785247743", "21785247744", "1", "0"]
    assert gate(copy, "--update", "--reason", "it was\nwrong") == (0, {})
    changed = [new for old, new in zip(before, read_claims(own), strict=True) if old != new]
    exact = [claim for claim in changed if claim.tolerance == "0"]
    assert [(claim.metric, claim.expected, claim.updated) for claim in exact] == [
        (*failed, "21785247744", "it was wrong")
    ]
    assert {claim.tier for claim in changed} == {"exact"}
    assert gate(copy) == (0, {})


def test_a_claim_that_nothing_is_found_for_fails_and_no_update_helps(copy, gate, own):
    replace(own, "one Transformer layer", "one Mamba layer")
    for options in ((), ("--update", "--reason", "new")):
        code, failed = gate(copy, *options)
        assert (code, list(failed)) == (1, ["12x768, one Mamba layer: FLOPs"])
        assert failed["12x768, one Mamba layer: FLOPs"]["found"] == ""


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("slow" + GOOD[4:], "line 3: tier: found 'slow', expected one of exact, live"),
        (GOOD.replace("71.5", "nan"), "line 3: expected: found 'nan', expected a number"),
        (GOOD.replace(",1,", ",-1,"), "line 3: tolerance: found '-1', expected a number of at least 0"),
        (GOOD.replace(",1,", ",inf,"), "line 3: tolerance: found 'inf', expected a number"),
        (GOOD.replace("noise", " "), "line 3: reason: found ' ', expected a text"),
        (GOOD.replace("accuracy", ""), "line 3: metric: found '', expected a text"),
        (GOOD + ",", "line 3: found 10 fields, expected 9"),
        (GOOD.replace("accuracy", "first"), "line 3: metric: found 'first', expected each claim once"),
        ('"' + GOOD, "expected a CSV in UTF-8"),
        ("", "line 3: found 0 fields, expected 9"),
        (GOOD, "found no claim of exact, expected some"),
    ],
)
def test_bad_claims_exit_2_and_name_the_line(own, capsys, line, message):
    own.write_text(f"{','.join(Claim._fields)}\n{GOOD.replace('accuracy', 'first')}\n{line}\n")
    assert cli.main(["check"]) == 2
    error = capsys.readouterr().err
    assert f"{own}" in error
    assert message in error


def test_claims_must_be_there(own, capsys):
    for content in ("", ",".join(Claim._fields[1:]) + "\n"):
        own.write_text(content)
        assert cli.main(["check"]) == 2
        assert "line 1: column 1: found " in capsys.readouterr().err
    own.unlink()
    assert cli.main(["check"]) == 2
    assert "No such file" in capsys.readouterr().err


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6)


@given(expected=decimals, off=decimals, allowed=decimals.map(abs))
def test_a_number_holds_just_as_far_as_its_tolerance(expected, off, allowed):
    finding = held(PLACE, "x", f"{expected:f}", f"{expected + off:f}", f"{allowed:f}")
    assert (finding.ok == "yes") == (abs(off) <= allowed)
    assert Decimal(finding.difference) == off


@pytest.mark.parametrize("found", ["", "nan", "inf", "1e3", "1,000"])
def test_what_is_no_plain_number_never_holds(found):
    assert held(PLACE, "x", "1", found, "1000000").ok == "no"
    claim = Claim(*PLACE, "x", "1", "1000000", "a", "b", "")
    assert updated([claim], {claim[:4]: found}, "why") == [claim]


def test_equal_numbers_in_other_letters_are_not_the_same_text():
    assert [held(PLACE, "x", "1.0", found, *more).ok for found, *more in (("1.00",), ("1.0",), ("1.00", "0"))] == [
        *("no", "yes", "yes")
    ]


def test_two_runs_are_compared_to_the_bit(copy, tmp_path):
    first, second = (Path(shutil.copytree(copy, tmp_path / name)) for name in ("first", "second"))
    runs = read_table(second, "runs")
    for training in runs["training"]:
        change_run(second, {"date": "2031-01-01", "command": "python", "wall_seconds": 1.5}, training=training)
    measure(second)
    found = repeated(first, second, "dbpedia")
    assert all(finding.ok == "yes" for finding in found)
    assert len(found) == len([path for path in copy.rglob("*") if path.is_file()])
    first, second = (Path(shutil.copytree(copy, tmp_path / name)) for name in ("third", "fourth"))
    path = trace_file(second)
    path.write_bytes(path.read_bytes()[:-1])
    replace(table_path(second, "luha"), ",student,", ",teacher,")
    write_table(second, "runs", runs.assign(threads=4))
    table_path(second, "table3").unlink()
    failed = [finding.metric for finding in repeated(first, second, "dbpedia") if finding.ok == "no"]
    assert failed[:2] == ["luha.csv, line 2, classifier", "runs.csv, line 2, threads"]
    assert failed[2:] == ["table3.csv", path.relative_to(second).as_posix()]


def test_numbers_of_a_training_are_those_of_tables_2_and_3(copy):
    tables = {name: read_table(copy, name).set_index(["model", "setting"]) for name in ("table2", "table3")}
    numbers = trained_numbers("live", copy, "book-review")
    for name, row in (("table2", ("FastBERT", "speed=0.5")), ("table3", ("FastBERT with reverse KL", "speed=0.7"))):
        for measured in ("accuracy", "mean_layers", "mflops"):
            found = numbers["live", "book-review", "smoke", f"{', '.join(row)}: {measured}"]
            assert float(found) == tables[name].loc[row, measured]
    assert len(numbers) == 3 * sum(map(len, tables.values()))  # and no baseline, of which these runs have none
    change_run(copy, {"baseline_accuracy": 71.25})
    measure(copy)
    baseline = numbers | {("live", "book-review", "smoke", check_training.BASELINE): "71.25"}
    assert trained_numbers("live", copy, "book-review") == baseline
    assert trained_numbers("live", copy, "dbpedia") == trained_numbers("live", copy / "nowhere", "dbpedia") == {}


@pytest.mark.parametrize(
    ("teacher", "baseline", "found"),
    [
        ("60.76", "60.75", "above it"),
        ("100.0", "60.75", "above it"),
        ("60.75", "60.75", "60.75 beside 60.75"),
        ("9.5", "60.75", "9.5 beside 60.75"),
        ("nan", "60.75", "nan beside 60.75"),
        ("89.0", None, "89.0"),
        (None, "60.75", "60.75"),
        (None, None, "neither"),
    ],
)
def test_a_teacher_must_be_better_than_the_baseline(teacher, baseline, found):
    numbers = {"BERT, 12 layers: accuracy": teacher, check_training.BASELINE: baseline}
    numbers |= {"BERT, 12 layers: mflops": "99", "FastBERT, speed=0.1: accuracy": "99"}
    numbers = {(*PLACE, metric): number for metric, number in numbers.items() if number}
    finding = above_baseline("live", "dbpedia", numbers)
    assert (finding.found, finding.ok) == (found, "yes" if found == "above it" else "no")


def test_each_tier_that_trains_holds_the_teacher_above_the_baseline(tmp_path, monkeypatch):
    def run(tier, task, folder):
        profile = check_training.TRAINED[tier].profile
        measure(store(folder / "results" / profile, [make_trace(40)], profile=profile, baseline_accuracy=99.5))
        return held((tier, task, profile), "run", "0", "0")

    monkeypatch.setattr(check_training, "_run", run)
    for tier in check_training.TRAINED:
        failed = [finding for finding in check_training.trained(tier, "book-review")[1] if finding.ok == "no"]
        assert [finding.metric for finding in failed] == ["BERT's accuracy, beside the baseline's"]
        assert failed[0].found.endswith(" beside 99.5")


def test_a_run_that_ends_badly_says_why(tmp_path):
    finding = check_training._run("live", "imbd", tmp_path / "first")
    assert finding.ok == "no"
    assert finding.found.startswith("exit code 2, error: task: found 'imbd'")
