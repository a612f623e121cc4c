"""The grid of settings: each variant once, judged by dev, taken up again where it was left."""

import pandas as pd
import pytest

from reproductions import cli
from reproductions.grid_effects import AXES, SPEEDS, effects
from reproductions.tables import read_table

WHOLE = dict(AXES)


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    """A results folder with a grid of two variants of the smoke profile."""
    results = tmp_path_factory.mktemp("grid")
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("FASTBERT_RUNS", str(results / "runs"))
        few = {"distillation_epochs": (1, 2), "distillation_rate": (1e-2,), "bias_correction": (True,)}
        few |= {"classifier_init": ("xavier",)}
        for name, values in few.items():
            patch.setitem(AXES, name, values)
        words = ["grid", "dbpedia", "--profile", "smoke", "--train-rows", "200", "--results-dir", str(results)]
        yield lambda *more: cli.main([*words, *more]), results / "smoke"


@pytest.mark.smoke
def test_each_variant_has_its_rows_and_none_is_trained_twice(made, capsys, monkeypatch):
    run, results = made
    assert run() == 0
    said = capsys.readouterr().out
    assert "2 of 2" in said
    assert "distillation_epochs: 1 → 2" in said
    rows = read_table(results, "grid")
    assert len(rows) == 2 * len(SPEEDS)
    assert rows["variant"].nunique() == 2
    assert set(rows["judged"]) == {100}
    assert rows["teacher"].nunique() == 1, "they share their first stage"
    assert rows["first_exit"].nunique() == 2

    monkeypatch.setattr("reproductions.grid.calibrated", lambda *_: pytest.fail("trained again"))
    monkeypatch.setattr("reproductions.sources.settle_profile", lambda *_: "smoke")
    monkeypatch.setattr("reproductions.commands.PACKAGED_NOTICE", "NOTICE\n")
    assert run("--profile", "standard") == 0
    said = capsys.readouterr().out
    assert said.count(": done") == 2
    assert said.startswith("NOTICE\n")
    assert said.endswith("NOTICE\n"), "a profile that was not asked for is told at both ends"
    assert read_table(results, "grid").equals(rows)

    written = []
    monkeypatch.setattr(cli, "committed", lambda name: results.parent)
    monkeypatch.setattr("reproductions.pages.write", lambda: written.append(True))
    assert cli.main(["grid", "dbpedia", "--profile", "smoke", "--train-rows", "200", "--publish"]) == 0
    assert written


def test_a_step_along_an_axis_compares_what_else_is_equal(monkeypatch):
    for name, values in WHOLE.items():
        monkeypatch.setitem(AXES, name, values)
    rows = pd.DataFrame(
        {"seed": seed, "backbone": "small", "teacher": 80.0 + seed}
        | {"task": "t", "train_rows": 9, "speed": 0.5, "classifier_init": start, "bias_correction": "yes"}
        | {"distillation_epochs": epochs, "distillation_rate": 2e-4, "first_exit": 50.0 + epochs}
        | {"accuracy": 70.0 + (start == "xavier") * epochs, "mean_layers": 9.0}
        for start in ("pytorch", "xavier")
        for epochs in (2, 5)
        for seed in (7, 8)
        if (seed, start, epochs) != (8, "xavier", 5)  # a second seed that is not finished
    )
    lines = {line["setting"]: line for line in effects(rows)}
    assert lines["classifier_init: pytorch → xavier"]["speed 0.5"] == "+3.00 (+2.00 to +5.00)"
    assert lines["distillation_epochs: 2 → 5"]["layer 1"] == "+3.00 (+3.00 to +3.00)"
    assert {line["teacher"] for line in lines.values()} == {"+0.00 (+0.00 to +0.00)"}
    assert len(lines) == 2


def test_an_unknown_task_is_one_line(capsys):
    assert cli.main(["grid", "nothing"]) == 2
    error = capsys.readouterr().err
    assert "nothing" in error
    assert error.count("\n") == 1
