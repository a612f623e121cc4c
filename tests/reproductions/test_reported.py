import pytest

from fastbert_core.errors import InputError
from reproductions import reported


def test_everything_the_paper_reports_is_there():
    rows = {name: len(reported.load(name)) for name in reported.NAMES}
    expected = {
        "table1": 8,
        "table2": 84,
        "table3": 12,
        "figure3_speed_accuracy": 240,
        "figure4_luha": 30,
        "figure5_exit_layers": 36,
        "figure7_convergence": 9,
        "authors_readme": 10,
    }
    assert expected.items() <= rows.items()


def test_layers_count_from_1():
    exits = reported.load("figure5_exit_layers")
    assert sorted(set(exits["exit_layer"])) == list(range(1, 13))
    most = exits.query("speed == 0.8 and exit_layer == 1")["percent"].item()
    assert most == 61.54  # most samples leave at the first layer
    luha = reported.load("figure4_luha")
    assert dict(luha.drop_duplicates("layer").set_index("layer")["accuracy"]) == {12: 95.75, 6: 96.90, 1: 98.92}


def test_unknown_name():
    with pytest.raises(InputError, match=r"reported numbers: found 'table9', expected one of .*table1"):
        reported.load("table9")
