"""What a task file says of its training counts, after what the command line says."""

import torch

from fastbert_core.encoder_folder import tiny
from reproductions.plan import plan
from reproductions.settings import Settings, settings_for
from reproductions.sources import Named
from tests.reproductions.own_task import write_task_file

SAID = {
    "epochs": 9,
    "rate": 3e-4,
    "student_epochs": 6,
    "student_rate": 4e-3,
    "batch_size": 5,
    "max_tokens": 12,
    "seed": 0,
}


def planned(path, **given):
    named = Named.from_user(None, None, str(path))
    given = {"seed": None, "train_rows": None} | given
    (run,) = plan([named.task_file.task], "standard", named, torch.device("cpu"), "fp32", print, **given)
    return run.settings


def test_a_task_file_decides_what_the_command_line_leaves_open(tmp_path):
    tiny(tmp_path / "bert", ["word number of 0 1 2"], layers=2, hidden=8)
    path = write_task_file(tmp_path, "bert")
    before = planned(path)
    assert before == settings_for(
        "standard", Named.from_user(None, None, str(path)).task_file.task, before.training, "fp32", 8
    )
    path.write_text(path.read_text() + "".join(f"{name} = {value}\n" for name, value in SAID.items()))
    found = planned(path)
    assert (found.fine_tuning_epochs, found.fine_tuning_rate, found.classifier_rate) == (9, 3e-4, 3e-4)
    assert (found.distillation_epochs, found.distillation_rate, found.until_flat) == (6, 4e-3, False)
    assert (found.batch_size, found.max_tokens, found.seed) == (5, 12, 0)
    changed = {name for name in Settings.__dataclass_fields__ if getattr(found, name) != getattr(before, name)}
    assert len(changed) == len(SAID) + 2  # the classifiers' rate, and no further epochs of the students
    assert planned(path, seed=8).seed == 8
