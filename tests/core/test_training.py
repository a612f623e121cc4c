import copy
import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastbert_core import training
from fastbert_core.backbones import tiny
from fastbert_core.checkpoint import load_checkpoint
from fastbert_core.encoding import encode, load_tokenizer
from fastbert_core.errors import InputError, RunError
from fastbert_core.fitting import Schedule, learning_rate
from fastbert_core.model import FastBertModel
from fastbert_core.tracing import probabilities
from fastbert_core.training import Samples, Workplace, distil_compact, fine_tune, self_distil

WORDS = {0: "bad awful poor", 1: "good great fine"}
SCHEDULE = Schedule(epochs=2, rate=1e-2, batch_size=4)


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 30)
    texts = [" ".join(rng.choice(WORDS[label].split(), rng.integers(1, 9))) for label in labels]
    source = tiny(tmp_path_factory.mktemp("tiny"), texts, layers=3, hidden=16).source
    return source, Samples(encode(load_tokenizer(source), texts), labels)


@pytest.fixture
def model(task):
    torch.manual_seed(7)
    return FastBertModel.from_backbone(task[0], ["bad", "good"])


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path, 0, "fp32", lambda _: None)


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(before, module):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def test_warm_up_and_decay():
    schedule = Schedule(epochs=1, rate=1.0, warmup=0.2)
    rates = [learning_rate(step, 10, schedule) for step in range(10)]
    assert rates == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


def test_the_schedule_spans_all_epochs_of_a_stage(task, model, place, monkeypatch):
    rates, adamw_step = [], torch.optim.AdamW.step

    def step(self, *arguments, **named):
        rates.append([group["lr"] for group in self.param_groups])
        return adamw_step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    fine_tune(model, task[1], task[1], SCHEDULE, place)
    assert rates == [[learning_rate(step, 16, SCHEDULE)] * 2 for step in range(16)]
    assert rates[-1][0] == pytest.approx(1e-2 / 14)  # 2 of 16 steps warm up


def test_fine_tuning_moves_backbone_and_teacher_alone(task, model, place):
    before = weights(model)
    notes = fine_tune(model, task[1], task[1], SCHEDULE, place)
    names = moved(before, model)
    assert not [name for name in names if name.startswith(("classifiers.0", "classifiers.1"))]
    assert len([name for name in names if name.startswith("classifiers.2")]) == len(list(model.teacher.parameters()))
    assert any(name.startswith("backbone.encoder.layer.0") for name in names)
    assert notes["dev_accuracy"][-1] == 1.0


def test_training_on_labels_moves_every_classifier(task, model, place):
    before = weights(model.classifiers)
    fine_tune(model, task[1], task[1], SCHEDULE, place, students=True)
    assert moved(before, model.classifiers) == set(before)


def test_the_best_epoch_on_dev_is_kept(task, model, place, monkeypatch):
    accuracies, seen = iter([0.5, 0.8, 0.8, 0.6]), []

    def dev_accuracy(model, dev, place):
        seen.append(weights(model))
        return next(accuracies)

    monkeypatch.setattr(training, "dev_accuracy", dev_accuracy)
    notes = fine_tune(model, task[1], task[1], dataclasses.replace(SCHEDULE, epochs=4), place)
    # The first of two equals; what stood before training is not asked.
    assert notes == {"dev_accuracy": [0.5, 0.8, 0.8, 0.6], "best_epoch": 2}
    assert not moved(seen[1], model)


@pytest.mark.parametrize("direction", ["teacher-student", "student-teacher"])
def test_self_distillation_moves_the_students_alone(task, model, place, direction):
    fine_tune(model, task[1], task[1], SCHEDULE, place)
    before = weights(model)
    self_distil(model, task[1].encoded, SCHEDULE, place, direction)
    names = moved(before, model)
    assert names == {name for name in before if name.startswith(("classifiers.0", "classifiers.1"))}
    frozen = [p for name, p in model.named_parameters() if not name.startswith(("classifiers.0", "classifiers.1"))]
    assert all(not p.requires_grad and p.grad is None for p in frozen)


def test_students_learn_from_the_teacher_without_labels(task, model, place):
    fine_tune(model, task[1], task[1], SCHEDULE, place)
    self_distil(model, task[1].encoded, dataclasses.replace(SCHEDULE, epochs=16), place)
    p = probabilities(model, task[1].encoded, 0)
    assert (p.argmax(-1) == task[1].labels[:, None]).mean(axis=0).min() > 0.9


def test_the_directions_of_kl_teach_differently(task, tmp_path):
    def students(direction):
        torch.manual_seed(7)
        model = FastBertModel.from_backbone(task[0], ["bad", "good"])
        self_distil(model, task[1].encoded, SCHEDULE, Workplace(tmp_path / direction, 0, "fp32", print), direction)
        return weights(model.students)

    forward, backward = students("teacher-student"), students("student-teacher")
    assert any(not torch.equal(forward[name], backward[name]) for name in forward)


def test_students_learn_the_same_where_the_disk_has_no_room(task, tmp_path, monkeypatch):
    def students(name, free):
        said = []
        monkeypatch.setattr("fastbert_core.frozen.shutil.disk_usage", lambda _: SimpleNamespace(free=free))
        torch.manual_seed(7)
        model = FastBertModel.from_backbone(task[0], ["bad", "good"])
        self_distil(model, task[1].encoded, SCHEDULE, Workplace(tmp_path / name, 0, "fp32", said.append))
        return weights(model.students), any("every batch computes its own" in line for line in said)

    (kept, silent), (computed, told) = students("roomy", 1 << 40), students("full", 0)
    assert (silent, told) == (False, True)
    for name in kept:
        torch.testing.assert_close(kept[name], computed[name], rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("kept", [True, False])
def test_a_resumed_stage_goes_on_with_states_of_the_same_kind(task, tmp_path, monkeypatch, kept):
    disk = {"free": 1 << 40 if kept else 0}
    monkeypatch.setattr("fastbert_core.frozen.shutil.disk_usage", lambda _: SimpleNamespace(**disk))
    torch.manual_seed(7)
    model = FastBertModel.from_backbone(task[0], ["bad", "good"])

    def students(folder, killed_after=None):
        def after_epoch(stage, epoch):
            if epoch == killed_after:
                raise Killed

        place = Workplace(folder, 0, "fp32", lambda _: None, after_epoch)
        mine = copy.deepcopy(model)
        schedule = dataclasses.replace(SCHEDULE, checkpoint_seconds=0.0)
        self_distil(mine, task[1].encoded, schedule, place)
        return weights(mine.students)

    whole = students(tmp_path / "whole")
    with pytest.raises(Killed):
        students(tmp_path / "pieces", killed_after=1)
    disk["free"] = 0 if kept else 1 << 40
    if kept:
        with pytest.raises(RunError, match=r"found room for 0\.0 GiB, expected 0\.0 GiB as when the stage began"):
            students(tmp_path / "pieces")
        disk["free"] = 1 << 40
    pieces = students(tmp_path / "pieces")
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_a_compact_model_of_a_distilled_one_learns_in_all_its_layers(task, model, place):
    self_distil(model, task[1].encoded, SCHEDULE, place)
    compact = model.first_of_blocks(1)
    before = weights(compact.backbone)
    soft = np.full((len(task[1].labels), 2), 0.5, np.float32)
    distil_compact(compact, soft, task[1], task[1], SCHEDULE, place)
    assert moved(before, compact.backbone)


def test_a_stage_whose_best_weights_are_gone_begins_again(task, model, place, monkeypatch):
    untouched, said = copy.deepcopy(model), []
    expected = fine_tune(model, task[1], task[1], SCHEDULE, dataclasses.replace(place, folder=place.folder / "whole"))
    monkeypatch.setattr(training, "_finish", None)  # killed when all is trained
    with pytest.raises(TypeError):
        fine_tune(copy.deepcopy(untouched), task[1], task[1], SCHEDULE, place)
    monkeypatch.undo()
    (place.folder / "fine-tuning-best.safetensors").unlink()
    assert fine_tune(untouched, task[1], task[1], SCHEDULE, dataclasses.replace(place, log=said.append)) == expected
    assert said[0] == "fine-tuning: the weights of the best epoch are gone; beginning the stage again"
    assert not moved(weights(model), untouched)


def test_a_soft_label_of_0_leaves_the_compact_loss_finite(task, model, place, monkeypatch):
    given, losses = [], []
    compact_loss = training.compact_loss

    def recorded(logits, soft_log, labels):
        given.append(soft_log)
        losses.append(compact_loss(logits, soft_log, labels))
        return losses[-1]

    monkeypatch.setattr(training, "compact_loss", recorded)
    soft = np.tile(np.float32([0.25, 0.75]), (len(task[1].labels), 1))
    soft[0] = [0, 1]
    distil_compact(model, soft, task[1], task[1], SCHEDULE, place)
    assert torch.isfinite(torch.stack(losses)).all()
    # Nothing else is changed: every other value is the logarithm to the last bit, in both epochs.
    ordinary = [row for row in torch.cat(given) if row[1] != 0]
    assert len(ordinary) == 2 * (len(soft) - 1)
    assert torch.equal(torch.stack(ordinary), torch.from_numpy(soft[1:]).log().repeat(2, 1))


class Killed(Exception):
    pass


def run_both_stages(task, folder, monkeypatch, kill_at=None):
    """Fine-tune and self-distil; with `kill_at`, die in that step of every attempt until both stages are done."""
    steps = {"left": kill_at}
    adamw_step = torch.optim.AdamW.step

    def step(self, *arguments, **named):
        if steps["left"] is not None:
            steps["left"] -= 1
            if steps["left"] < 0:
                raise Killed
        return adamw_step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    schedule = dataclasses.replace(SCHEDULE, checkpoint_seconds=0.0)
    for _ in range(30):
        torch.manual_seed(7)
        model = FastBertModel.from_backbone(task[0], ["bad", "good"])
        place = Workplace(folder, 0, "fp32", lambda _: None)
        steps["left"] = kill_at
        torch.manual_seed(int(np.random.default_rng().integers(1 << 30)))  # a new process has another random state
        try:
            notes = fine_tune(model, task[1], task[1], schedule, place)
            self_distil(model, task[1].encoded, schedule, place)
        except Killed:
            continue
        return weights(model), notes
    raise AssertionError("never finished")


@pytest.mark.parametrize("kill_at", [3, 8, 11])
def test_a_killed_training_resumes_to_the_same_bits(task, tmp_path, monkeypatch, kill_at):
    whole, whole_notes = run_both_stages(task, tmp_path / "whole", monkeypatch)
    pieces, pieces_notes = run_both_stages(task, tmp_path / "pieces", monkeypatch, kill_at)
    assert pieces_notes == whole_notes
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)
    names = [sorted(path.name for path in (tmp_path / folder).iterdir()) for folder in ("whole", "pieces")]
    assert names == [["fine-tuning.safetensors", "self-distillation.safetensors"]] * 2


def test_a_finished_stage_is_not_trained_again(task, model, place, monkeypatch):
    fine_tune(model, task[1], task[1], SCHEDULE, place)
    before = weights(model)
    torch.manual_seed(1)
    again = FastBertModel.from_backbone(task[0], ["bad", "good"])
    monkeypatch.setattr(training, "fit", None)
    fine_tune(again, task[1], task[1], SCHEDULE, place)
    assert not moved(before, again)


def test_a_damaged_checkpoint_is_named(task, model, place):
    fine_tune(model, task[1], task[1], SCHEDULE, place)
    path = place.folder / "fine-tuning.safetensors"
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    with pytest.raises(InputError, match=r"fine-tuning\.safetensors: found content that does not match"):
        fine_tune(model, task[1], task[1], SCHEDULE, place)


def test_a_loss_that_is_not_finite_stops_at_its_step(task, model, place, monkeypatch):
    losses = []
    label_loss = training.label_loss

    def spoilt(logits, labels):
        losses.append(label_loss(logits, labels))
        return losses[-1] * (float("nan") if len(losses) == 11 else 1)

    monkeypatch.setattr(training, "label_loss", spoilt)
    with pytest.raises(RunError, match="fine-tuning: the loss became nan at step 11 of 16"):
        fine_tune(model, task[1], task[1], SCHEDULE, place)
    _, state = load_checkpoint(place.folder / "fine-tuning-checkpoint.safetensors")
    assert state["step"] == 8  # the last good one, at the end of the first epoch


def test_epochs_are_announced_from_before_training_on(task, model, place):
    seen = []
    place = dataclasses.replace(place, after_epoch=lambda stage, epoch: seen.append((stage, epoch)))
    fine_tune(model, task[1], task[1], SCHEDULE, place)
    self_distil(model, task[1].encoded, SCHEDULE, place)
    assert seen == [(stage, epoch) for stage in ("fine-tuning", "self-distillation") for epoch in (0, 1, 2)]
