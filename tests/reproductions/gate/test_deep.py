"""The deep tier from end to end on the smoke profile: trained again, compared by interval."""

import os
import re
import shutil
from pathlib import Path

import numpy as np
import pytest
import torch

from fastbert_core.generated import generate
from fastbert_core.tasks import TASKS
from reproductions import cli
from reproductions.gate import deep
from reproductions.job import Job
from reproductions.run import run
from reproductions.settings import lookup, settings_for
from reproductions.sources import RUNS, Named, load_encoder
from reproductions.store import read_table, table_path, write_table
from tests.reproductions.gate.tamper import replace


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A results folder of the smoke profile: dbpedia, trained for real on a few rows."""
    results, task = tmp_path_factory.mktemp("deep"), TASKS["dbpedia"]
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv(RUNS, str(results / "runs"))
        data = generate(task, lookup("smoke", task, "data"))
        encoder = load_encoder("smoke", task, Named(), data, print)
        settings = settings_for("smoke", task, "fastbert", "default", "fp32", train_rows=96, seed=3)
        run([Job(settings, data, encoder, torch.device("cpu"))], results / "smoke", False, print)
    return results


@pytest.mark.smoke
def test_deep_trains_again_and_compares_by_interval(trained, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv(RUNS, str(tmp_path / "never"))
    arguments = ["check", "--tier", "deep", "--profile", "smoke", "dbpedia", "--results-dir", str(trained)]
    arguments += ["--work-dir", str(tmp_path / "work")]
    assert cli.main(arguments) == 0
    assert "deep: 9 of 9 as expected" in capsys.readouterr().out
    old, new = (read_table(folder / "smoke", "runs") for folder in (trained, tmp_path / "work" / "results"))
    assert new["run_id"].tolist() == old["run_id"].tolist()
    assert len(list((tmp_path / "work" / "runs").glob("fine-tuning-*"))) == 1
    assert not (tmp_path / "never").exists()
    assert os.environ[RUNS] == str(tmp_path / "never")

    table = read_table(trained / "smoke", "table2").set_index(["model", "setting"])
    damaged = Path(shutil.copytree(trained / "smoke", tmp_path / "damaged" / "smoke"))
    accuracy, layers = (
        f"{table.loc[('FastBERT', 'speed=0.5'), c]:.{n}f}" for c, n in (("accuracy", 2), ("mean_layers", 3))
    )
    replace(table_path(damaged, "table2"), f"speed=0.5,{accuracy},{layers}", "speed=0.5,99.00,6.500")
    lines = table_path(damaged, "table2").read_text().splitlines(keepends=True)
    table_path(damaged, "table2").write_text("".join(line for line in lines if "speed=0.8," not in line))
    arguments[arguments.index(str(trained))] = str(damaged.parent)
    assert cli.main(arguments) == 1  # nothing is trained again: the work folder holds it
    printed = capsys.readouterr().out
    assert "deep: 5 of 8 as expected" in printed
    assert "FastBERT, speed=0.5: accuracy" in printed
    assert "FastBERT, speed=0.5: mean_layers" in printed
    assert re.search(r"FastBERT, speed=0\.8 +a committed row +none", printed)

    arguments[arguments.index(str(damaged.parent))] = str(trained)
    monkeypatch.setattr(deep, "git_state", lambda: {"git_sha": "c0de" * 10, "git_dirty": "no"})
    assert cli.main(arguments) == 1  # what other code trained vouches for nothing
    assert re.search(f"run {old['run_id'].iloc[0]}: code +{'c0de' * 10} +", printed := capsys.readouterr().out)
    assert "deep: 8 of 9 as expected" in printed


@pytest.mark.smoke
def test_deep_refuses_other_data(trained, tmp_path, capsys):
    other = Path(shutil.copytree(trained / "smoke", tmp_path / "other" / "smoke"))
    runs = read_table(other, "runs")
    for change, message in (
        ({"data_sha256": "d" * 64}, f"dbpedia, data: found SHA-256 [0-9a-f]{{64}}, expected {'d' * 64}"),
        ({"backbone_sha256": "e" * 64}, f"dbpedia, encoder: found SHA-256 [0-9a-f]{{64}}, expected {'e' * 64}"),
        ({"hyperparameters": '{"experts": 8}'}, "found hyperparameters experts, expected those of Settings"),
    ):
        write_table(other, "runs", runs.assign(**change))
        arguments = ["check", "--tier", "deep", "dbpedia", "--profile", "smoke", "--results-dir", str(other.parent)]
        assert cli.main(arguments) == 2
        assert re.search(message, capsys.readouterr().err)


def test_the_interval_of_a_difference_of_means_is_students():
    generator = np.random.default_rng(3)
    first, second = generator.integers(1, 13, 4000), generator.integers(1, 5, 1000)
    low, high = deep.difference_of_means(first, second)
    half = 1.96 * np.sqrt(first.var() / 4000 + second.var() / 1000)
    difference = first.mean() - second.mean()
    assert low == pytest.approx(difference - half, abs=0.05 * half)
    assert high == pytest.approx(difference + half, abs=0.05 * half)
    same = np.full(50, 12.0)
    assert deep.difference_of_means(same, same) == (0, 0)
