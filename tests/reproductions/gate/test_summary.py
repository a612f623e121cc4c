from decimal import Decimal

import pytest

from reproductions.gate import summary
from reproductions.gate.finding import Place, identical, measured, write_report

LIVE, EXACT = Place("live", "dbpedia", "smoke"), Place("exact", "", "standard")


def report(path, accuracy, layers):
    found = [
        measured(LIVE, "accuracy", Decimal("90.25"), accuracy, Decimal("1.00")),
        measured(LIVE, "mean layers", Decimal("4.000"), layers, Decimal("0.150")),
        identical(EXACT, "table2.csv", "as committed", "as committed"),
    ]
    write_report(path, found)
    return path


def test_what_differs_from_the_base_is_shown_failures_first(tmp_path, capsys):
    base = report(tmp_path / "base.csv", Decimal("90.25"), Decimal("4.000"))
    head = report(tmp_path / "head.csv", Decimal("90.00"), Decimal("4.500"))
    assert summary.main([str(base), str(head)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "2 of 3 claims hold; 2 found otherwise than in the base."
    assert lines[6:] == [
        "| live dbpedia smoke mean layers | 4.000 | 4.500 | +0.500 | 0.150 | no |",
        "| live dbpedia smoke accuracy | 90.25 | 90.00 | -0.25 | 1.00 | yes |",
    ]


def test_the_live_numbers_are_shown_though_they_are_the_same(tmp_path, capsys):
    path = report(tmp_path / "same.csv", Decimal("90.25"), Decimal("0"))
    assert summary.main([str(path), str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "2 of 3 claims hold; 0 found otherwise than in the base."
    assert lines[6:] == [
        "| live dbpedia smoke mean layers | 0 | 0 | +0 | 0.150 | no |",
        "| live dbpedia smoke accuracy | 90.25 | 90.25 | +0.00 | 1.00 | yes |",
    ]


@pytest.mark.parametrize("content", [b"", b"\xff", b'"', b"a,b\n", b"%s\nlive,dbpedia\n", b"%s\n\n"])
def test_what_is_no_report_is_refused_in_one_line(tmp_path, capsys, content):
    path = report(tmp_path / "head.csv", Decimal("90.25"), None)
    path.write_bytes(content.replace(b"%s", path.read_bytes().splitlines()[0]))
    assert summary.main([str(path), str(path)]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"error: {path}")


def test_a_base_without_a_gate_is_no_error_and_a_change_without_a_report_is_one(tmp_path, capsys):
    head = report(tmp_path / "head.csv", Decimal("90.25"), None)
    assert summary.main([str(tmp_path / "none.csv"), str(head)]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[2] == "2 of 3 claims hold; there is no base to compare with."
    assert lines[6:] == [
        "| live dbpedia smoke mean layers |  |  |  | 0.150 | no |",
        "| live dbpedia smoke accuracy |  | 90.25 |  | 1.00 | yes |",
    ]
    assert summary.main([str(head), str(tmp_path / "none.csv")]) == 2
    assert "none.csv: no such file" in capsys.readouterr().err
    (tmp_path / "foreign.csv").write_text("a,b\n")
    assert summary.main([str(head), str(tmp_path / "foreign.csv")]) == 2
    assert "foreign.csv, line 1: found ['a', 'b'], expected the columns" in capsys.readouterr().err
    with pytest.raises(SystemExit) as stop:
        summary.main([])
    assert stop.value.code == 2
