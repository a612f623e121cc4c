"""All twelve tasks of the paper through every station, at the smallest size: very few rows, and an epoch a stage."""

from functools import partial

import pytest

from fastbert_core.generated import generate
from fastbert_core.tasks import PAPER_TASKS
from reproductions import cli, plan
from reproductions.tables import read_table
from tests.factories import load_traces


@pytest.mark.smoke
def test_every_task_runs_to_its_rows(tmp_path, monkeypatch, few_draws):
    monkeypatch.setenv("FASTBERT_RUNS", str(tmp_path / "runs"))
    few = {"train": 80, "dev": 40, "test": 40}
    monkeypatch.setattr("reproductions.sources.generated.generate", lambda task, rows: generate(task, few))
    monkeypatch.setattr("reproductions.run.measure", lambda folder: None)  # after each task; here once, of all
    # Other trainings and DistilBERT are run for one task, in test_cli.
    monkeypatch.setattr(plan, "planned_trainings", lambda profile, task: ["self-distillation"])
    once = {"fine_tuning_epochs": 1, "distillation_epochs": 1}
    monkeypatch.setattr(plan, "settings_for", partial(plan.settings_for, **once))
    arguments = ["run", "all", "--profile", "smoke", "--train-rows", "64", "--results-dir", str(tmp_path)]
    assert cli.main(arguments) == 0
    assert cli.main(["measure", "--profile", "smoke", "--results-dir", str(tmp_path)]) == 0
    results = tmp_path / "smoke"
    rows = read_table(results, "table2").set_index(["task", "model", "setting"])
    for name, task in PAPER_TASKS.items():
        for model, setting in (("BERT", "12 layers"), *(("FastBERT", f"speed={speed}") for speed in (0.1, 0.5, 0.8))):
            assert rows.loc[(name, model, setting), "train_rows"] == 64
        (trace,) = load_traces(results, task=name, split="test")
        assert trace.probabilities.shape == (40, 12, len(task.classes))
    for table in ("speed_accuracy", "luha", "exit_layers", "uncertainty", "convergence", "table3"):
        assert set(read_table(results, table)["task"]) == set(PAPER_TASKS)
