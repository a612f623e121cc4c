"""The file of expectations: read by line, shown by the page, changed with a reason only; and how claims hold."""

from decimal import Decimal
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproductions import cli
from reproductions.gate import expectations, goldens, page
from reproductions.gate.expectations import COLUMNS, Expectation, read_expectations, updated, write_expectations
from reproductions.gate.finding import Place, identical, measured
from tests.reproductions.gate.tamper import replace

PROJECT = Path(__file__).parents[3]
PLACE = Place("exact", "dbpedia", "smoke")


def test_the_page_shows_the_file():
    text = page.page(read_expectations(expectations.PATH))
    assert (PROJECT / page.PAGE).read_text(encoding="utf-8") == text  # else: python -m reproductions.gate.page
    assert "| 21785247744 | 0 |" in text


def test_reading_and_writing_the_file_are_inverse(tmp_path):
    claims = read_expectations(expectations.PATH)
    write_expectations(tmp_path / "again.csv", claims)
    assert (tmp_path / "again.csv").read_bytes() == expectations.PATH.read_bytes()
    assert {claim.tier for claim in claims} == set(expectations.TIERS)


def test_every_golden_has_its_expectation():
    claims = [claim for claim in read_expectations(expectations.PATH) if claim.tier == "exact"]
    assert {claim.key for claim in claims} == goldens.flops().keys()
    assert all(claim.tolerance == 0 for claim in claims if not claim.metric.endswith("speedup"))


def test_a_wrong_golden_fails_until_it_is_updated_with_a_reason(copy, gate, own):
    replace(own, "21785247744", "21785247743")
    code, failed = gate(copy)
    assert (code, list(failed)) == (1, ["12x768, BERT, 12 layers + teacher: FLOPs"])
    row = failed["12x768, BERT, 12 layers + teacher: FLOPs"]
    assert [row[c] for c in ("expected", "found", "difference", "allowed")] == ["21785247743", "21785247744", "1", "0"]
    assert gate(copy, "--update", "--reason", "it was\n| wrong") == (0, {})
    changed = next(claim for claim in read_expectations(own) if claim.metric in failed)
    assert (changed.expected, changed.updated) == (21785247744, "it was | wrong")
    assert "| it was \\| wrong |" in page.PAGE.read_text()
    assert [c for c in read_expectations(own) if c.tier == "live"] == [
        c for c in read_expectations(PROJECT / "reproductions/gate/expectations.csv") if c.tier == "live"
    ]
    assert gate(copy) == (0, {})


def test_a_claim_that_nothing_is_found_for_fails_and_no_update_helps(copy, gate, own):
    replace(own, "one Transformer layer", "one Mamba layer")
    for options in ((), ("--update", "--reason", "new")):
        code, failed = gate(copy, *options)
        assert (code, list(failed)) == (1, ["12x768, one Mamba layer: FLOPs"])
        assert failed["12x768, one Mamba layer: FLOPs"]["found"] == ""


GOOD = "live,dbpedia,smoke,accuracy,71.5,1,a run,noise,"


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("slow" + GOOD[4:], "line 3: tier: found 'slow', expected one of exact, live"),
        (GOOD.replace("dbpedia", "imdb"), "line 3: task: found 'imdb', expected a task's name"),
        (GOOD.replace("smoke", "fast"), "line 3: profile: found 'fast', expected one of smoke"),
        (GOOD.replace("71.5", "nan"), "line 3: expected: found 'nan', expected a number"),
        (GOOD.replace("71.5", "1e999999"), "line 3: expected: found '1e999999', expected a number"),
        (GOOD.replace("71.5", ""), "line 3: expected: found '', expected a number"),
        (GOOD.replace(",1,", ",-1,"), "line 3: tolerance: found '-1', expected a number of at least 0"),
        (GOOD.replace(",1,", ",inf,"), "line 3: tolerance: found 'inf', expected a number"),
        (GOOD.replace("noise", " "), "line 3: reason: found ' ', expected a text"),
        (GOOD.replace("accuracy", ""), "line 3: metric: found '', expected a text"),
        (GOOD + ",", "line 3: found 10 fields, expected 9"),
        (GOOD.replace("accuracy", "first"), "line 3: found the claim of line 2 again"),
        ('"' + GOOD, "expected a CSV in UTF-8"),
    ],
)
def test_bad_expectations_exit_2_and_name_the_line(own, capsys, line, message):
    own.write_text(f"{','.join(COLUMNS)}\n{GOOD.replace('accuracy', 'first')}\n{line}\n")
    assert cli.main(["check"]) == 2
    error = capsys.readouterr().err
    assert f"{own}" in error
    assert message in error


def test_expectations_must_be_there(own, capsys):
    for content, message in (
        ("", "line 1: column 1: found none, expected tier"),
        (",".join(COLUMNS[1:]) + "\n", "line 1: column 1: found task, expected tier"),
        (f"{','.join(COLUMNS)}\n{GOOD}\n", "found no claim of exact, expected some"),
    ):
        own.write_text(content)
        assert cli.main(["check"]) == 2
        assert message in capsys.readouterr().err
    own.unlink()
    assert cli.main(["check"]) == 2
    assert "no such file" in capsys.readouterr().err


decimals = st.decimals(allow_nan=False, allow_infinity=False, places=3, min_value=-(10**6), max_value=10**6)


@given(expected=decimals, off=decimals, allowed=decimals.map(abs))
def test_a_number_holds_just_as_far_as_its_tolerance(expected, off, allowed):
    finding = measured(PLACE, "x", expected, expected + off, allowed)
    assert finding.ok == (abs(off) <= allowed)
    assert finding.difference == off


@pytest.mark.parametrize("found", [None, Decimal("nan"), Decimal("inf")])
def test_what_is_no_number_never_holds(found):
    assert not measured(PLACE, "x", Decimal(1), found, Decimal(10**9)).ok
    claim = Expectation("live", "dbpedia", "smoke", "x", Decimal(1), Decimal(10**9), "a", "b", "")
    numbers = {} if found is None else {claim.key: found}
    assert updated([claim], numbers, "why") == [claim]


def test_equal_numbers_in_other_letters_are_not_identical():
    assert not identical(PLACE, "x", "1.0", "1.00").ok
    assert identical(PLACE, "x", "1.0", "1.0").ok
