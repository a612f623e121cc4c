import copy
import dataclasses
import math
from functools import cache
from types import SimpleNamespace

import numpy as np
import pytest
import torch

from fastbert_core import train as train_module
from fastbert_core.checkpoint import load_checkpoint
from fastbert_core.encoder_folder import load_tokenizer, tiny
from fastbert_core.encoding import encode
from fastbert_core.errors import RunError
from fastbert_core.losses import LOSSES
from fastbert_core.model import FastBertModel
from fastbert_core.optimizer import LONGEST, flat_after, rate_share
from fastbert_core.tracing import probabilities
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.trainings import TRAININGS, Schedule, Schedules

WORDS = {0: "bad awful poor", 1: "good great fine"}
SCHEDULE = Schedule(epochs=2, rate=1e-2, batch_size=4)
SCHEDULES = Schedules(SCHEDULE, SCHEDULE)
STAGES = FINE_TUNING, DISTILLATION = TRAININGS["self-distillation"](SCHEDULES)
UNTIL_FLAT = dataclasses.replace(DISTILLATION, schedule=dataclasses.replace(SCHEDULE, until_flat=True))


@pytest.fixture(scope="module")
def task(tmp_path_factory):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 30)
    texts = [" ".join(rng.choice(WORDS[label].split(), rng.integers(1, 9))) for label in labels]
    source = tiny(tmp_path_factory.mktemp("tiny"), texts, layers=3, hidden=16).source
    soft = np.tile(np.float32([0.25, 0.75]), (30, 1))
    return source, Samples(encode(load_tokenizer(source), texts), labels, soft)


@cache
def loaded(source, init):
    torch.manual_seed(7)
    return FastBertModel.from_backbone(source, ["bad", "good"], classifier_init=init)


def fresh(task, init="xavier"):
    return copy.deepcopy(loaded(task[0], init))


@pytest.fixture
def model(task):
    return fresh(task)


@pytest.fixture
def place(tmp_path):
    return Workplace(tmp_path, 0, "fp32", lambda _: None, checkpoint_seconds=0.0)


def weights(module):
    return {name: tensor.clone() for name, tensor in module.state_dict().items()}


def moved(before, module):
    return {name for name, tensor in module.state_dict().items() if not torch.equal(tensor, before[name])}


def with_schedule(stage, **changed):
    return dataclasses.replace(stage, schedule=dataclasses.replace(stage.schedule, **changed))


class Killed(Exception):
    pass


def test_warm_up_and_decay():
    shares = [rate_share(step, 2, 2, 10) for step in range(10)]
    assert shares == pytest.approx([0.5, 1, 1, 7 / 8, 6 / 8, 5 / 8, 4 / 8, 3 / 8, 2 / 8, 1 / 8])


@pytest.fixture(scope="module")
def whole(task, tmp_path_factory):
    """Both stages in one go: their folder, the model, notes, and what was told of each epoch."""
    folder, model, told = tmp_path_factory.mktemp("whole"), fresh(task), []
    place = Workplace(folder, 0, "fp32", lambda _: None)
    place = dataclasses.replace(place, after_epoch=lambda stage, epoch, p: told.append((stage.name, epoch, p.shape)))
    notes = [train(model, stage, task[1], task[1], place) for stage in (FINE_TUNING, UNTIL_FLAT)]
    return SimpleNamespace(folder=folder, model=model, notes=notes, told=told)


def rates_of(task, place, stage, monkeypatch):
    rates, adamw_step = [], torch.optim.AdamW.step

    def step(self, *arguments, **named):
        rates.append([(group["lr"], group["eps"]) for group in self.param_groups])
        return adamw_step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    notes = train(fresh(task), stage, task[1], task[1], place)
    return rates, notes


def test_the_schedule_spans_all_epochs_and_classifiers_have_their_own_rate(task, place, monkeypatch):
    stage = with_schedule(FINE_TUNING, classifier_rate=0.5)
    rates, _ = rates_of(task, place, stage, monkeypatch)
    backbone, heads = ({group[at][0] for group in rates} for at in (0, 2))
    assert max(backbone) == 1e-2
    assert max(heads) == 0.5
    assert [r[0][0] for r in rates] == pytest.approx([1e-2 * rate_share(step, 2, 2, 16) for step in range(16)])


def test_without_bias_correction_a_step_is_the_authors(task, place, monkeypatch):
    """Their AdamW moves by rate · m / (sqrt(v) + eps), held here against that formula on a parameter of its own."""
    stage = with_schedule(FINE_TUNING, bias_correction=False)
    rates, _ = rates_of(task, place, stage, monkeypatch)
    mine = torch.nn.Parameter(torch.tensor([1.0, -2.0, 0.5], dtype=torch.float64))
    optimizer = torch.optim.AdamW([mine], lr=1.0, eps=1e-6, weight_decay=0.0)
    theirs, m, v = mine.detach().clone(), torch.zeros(3, dtype=torch.float64), torch.zeros(3, dtype=torch.float64)
    monkeypatch.undo()
    for step, groups in enumerate(rates):
        gradient = torch.tensor([0.3, -1e-7, 2.0], dtype=torch.float64) * (step + 1)
        optimizer.param_groups[0]["lr"], optimizer.param_groups[0]["eps"] = groups[0]
        mine.grad = gradient.clone()
        optimizer.step()
        m, v = 0.9 * m + 0.1 * gradient, 0.999 * v + 0.001 * gradient**2
        theirs -= 1e-2 * rate_share(step, 2, 2, 16) * m / (v.sqrt() + 1e-6)
        torch.testing.assert_close(mine.detach(), theirs, rtol=1e-9, atol=1e-12)
    assert groups[0][0] > 3 * 1e-2 * rate_share(15, 2, 2, 16)


def notes_of(*losses):
    return {"held_out_loss": list(losses), "epochs": len(losses)}


@pytest.mark.parametrize(
    ("losses", "flat"),
    [((), None), ((5, 4, 3), None), ((5, 4, 3.95), 3), ((5, 5, 3), None), ((5, 4, 5), 3), ((5, 4, 3, 2, 2.1), 5)],
)
def test_a_stage_is_flat_once_an_epoch_past_the_least_lowers_the_loss_no_more(losses, flat):
    schedule = Schedule(epochs=5, rate=1, until_flat=True)  # the last two of at least five epochs: the rate falls
    assert flat_after(schedule, notes_of(*losses)) == flat


def test_a_stage_that_never_gets_flat_ends(task, place, monkeypatch):
    stage = with_schedule(UNTIL_FLAT, batch_size=30)
    falling = iter(range(1000, 0, -50))
    monkeypatch.setitem(
        LOSSES,
        "kl",
        lambda logits, targets: logits.sum() * 0 + (1 if logits.requires_grad else next(falling)),
    )
    _, notes = rates_of(task, place, stage, monkeypatch)
    assert notes["epochs"] == LONGEST * 2 + 1


def test_the_rate_stays_until_the_held_out_loss_is_flat_and_falls_then(task, place, monkeypatch):
    stage = with_schedule(UNTIL_FLAT, epochs=5)
    rates, notes = rates_of(task, place, stage, monkeypatch)
    flat = flat_after(stage.schedule, {"held_out_loss": notes["held_out_loss"][:-2]})
    assert notes["epochs"] == flat + 2 >= 5
    shares = [step[0][0] / 1e-2 for step in rates]
    assert shares[4 : 8 * flat] == pytest.approx([1.0] * (8 * flat - 4))
    assert shares[8 * flat :] == pytest.approx([(16 - at) / 16 for at in range(16)])


@pytest.mark.parametrize(("sure", "best"), [((0.8, 0.9), 2), ((0.9, 0.8), 3), ((0.9, 0.9), 2)])
def test_the_best_epoch_on_held_out_rows_is_kept(task, model, place, monkeypatch, sure, best):
    """Of two that are as often right, the one with the lower loss (80% sure, which is true); else the first."""
    said, seen = iter([(0.0, 0.9), (0.5, 0.9), (0.8, sure[0]), (0.8, sure[1]), (0.6, 0.9)]), []
    held_out = train_module._Exits.held_out

    def spoilt(self):
        p, (share, confidence) = held_out(self), next(said)
        seen.append(weights(model))
        right = np.arange(30) < 30 * share
        answers = np.where(right, task[1].labels, 1 - task[1].labels)
        p[:, -1] = np.where(np.eye(2)[answers] == 1, confidence, 1 - confidence)
        return p

    monkeypatch.setattr(train_module._Exits, "held_out", spoilt)
    notes = train(model, with_schedule(FINE_TUNING, epochs=4), task[1], task[1], place)
    # What stood before training is not asked.
    assert (notes["dev_accuracy"], notes["best_epoch"]) == ([0.5, 0.8, 0.8, 0.6], best)
    assert not moved(seen[best], model)


@pytest.mark.parametrize("kept", [True, False])
def test_a_resumed_stage_goes_on_with_states_of_the_same_kind(task, place, monkeypatch, kept):
    disk = {"free": 1 << 40 if kept else 0}
    monkeypatch.setattr("fastbert_core.frozen.shutil.disk_usage", lambda _: SimpleNamespace(**disk))
    model = fresh(task)

    def students(name, killed_after=None):
        def after_epoch(stage, epoch, p):
            if epoch == killed_after:
                raise Killed

        mine = copy.deepcopy(model)
        where = dataclasses.replace(place, folder=place.folder / name, after_epoch=after_epoch)
        train(mine, DISTILLATION, task[1], task[1], where)
        return weights(mine.classifiers[:-1])

    whole = students("whole")
    with pytest.raises(Killed):
        students("pieces", killed_after=1)
    disk["free"] = 0 if kept else 1 << 40
    if kept:
        with pytest.raises(RunError, match=r"found room for 0\.0 GiB, expected 0\.0 GiB as when the stage began"):
            students("pieces")
        disk["free"] = 1 << 40
    pieces = students("pieces")
    assert all(torch.equal(whole[name], pieces[name]) for name in whole)


def test_a_shallow_model_of_a_distilled_one_learns_in_all_its_layers(task, whole, place):
    shallow = copy.deepcopy(whole.model).first_of_blocks(1)
    before = weights(shallow.backbone)
    (stage,) = TRAININGS["distilbert"](SCHEDULES)
    train(shallow, stage, task[1], task[1], place)
    assert moved(before, shallow.backbone)


def test_a_stage_whose_best_weights_are_gone_begins_again(task, model, whole, place, monkeypatch):
    monkeypatch.setattr(train_module, "_load_into", None)  # killed when all is trained
    with pytest.raises(TypeError):
        train(fresh(task), FINE_TUNING, task[1], task[1], place)
    monkeypatch.undo()
    (place.folder / "fine-tuning-best.safetensors").unlink()
    said = []
    notes = train(model, FINE_TUNING, task[1], task[1], dataclasses.replace(place, log=said.append))
    assert said[0] == "fine-tuning: the weights of the best epoch are gone; beginning the stage again"
    assert notes == whole.notes[0]
    learnt, _ = load_checkpoint(whole.folder / "fine-tuning.safetensors")
    assert all(torch.equal(tensor, model.state_dict()[name]) for name, tensor in learnt.items())


def run_in_pieces(task, folder, monkeypatch, kill_at):
    """Fine-tune and self-distil, dying in step `kill_at` of every attempt until both stages are done.

    They never are where a finished stage is trained again.
    """
    left, adamw_step = {}, torch.optim.AdamW.step

    def step(self, *arguments, **named):
        left["steps"] -= 1
        if left["steps"] < 0:
            raise Killed
        return adamw_step(self, *arguments, **named)

    monkeypatch.setattr(torch.optim.AdamW, "step", step)
    place = Workplace(folder, 0, "fp32", lambda _: None, checkpoint_seconds=0.0)
    for _ in range(30):
        model, left["steps"] = fresh(task), kill_at
        torch.manual_seed(int(np.random.default_rng().integers(1 << 30)))  # a new process has another random state
        try:
            notes = [train(model, stage, task[1], task[1], place) for stage in (FINE_TUNING, UNTIL_FLAT)]
        except Killed:
            continue
        return model, notes
    raise AssertionError("never finished")


@pytest.mark.parametrize("kill_at", [5, 8])  # 8 steps are an epoch
def test_a_killed_training_resumes_to_the_same_bits(task, whole, tmp_path, monkeypatch, kill_at):
    model, notes = run_in_pieces(task, tmp_path, monkeypatch, kill_at)
    assert notes == whole.notes
    assert not moved(weights(whole.model), model)
    for folder in (tmp_path, whole.folder):
        names = sorted(path.name for path in folder.iterdir())
        assert names == ["fine-tuning.safetensors", "self-distillation.safetensors"]


def test_a_stage_keeps_what_it_has_learnt_and_no_more(whole):
    kept = {stage.name: set(load_checkpoint(whole.folder / f"{stage.name}.safetensors")[0]) for stage in STAGES}
    every = {*whole.model.state_dict()}
    students = {name for name in every if name.startswith(("classifiers.0.", "classifiers.1."))}
    assert kept == {"fine-tuning": every - students, "self-distillation": students}


def test_what_was_trained_before_is_loaded_and_said_to_be(task, model, place):
    said = []
    noted = dataclasses.replace(place, log=said.append)
    notes = train(model, FINE_TUNING, task[1], task[1], noted)
    epochs = len(said)
    assert train(model, FINE_TUNING, task[1], task[1], noted) == notes
    assert said[epochs:] == [f"fine-tuning: trained before, loaded from {place.folder}"]


def test_a_loss_that_is_not_finite_stops_at_its_step(task, model, place, monkeypatch):
    losses, cross_entropy = [], LOSSES["cross-entropy"]

    def spoilt(logits, targets):
        loss = cross_entropy(logits, targets)
        losses.append(loss.requires_grad)
        return loss * (math.nan if sum(losses) == 11 else 1)

    monkeypatch.setitem(LOSSES, "cross-entropy", spoilt)
    with pytest.raises(RunError, match="fine-tuning: the loss became nan at step 11 of 16"):
        train(model, FINE_TUNING, task[1], task[1], dataclasses.replace(place, checkpoint_seconds=120.0))
    _, state = load_checkpoint(place.folder / "fine-tuning-checkpoint.safetensors")
    assert state["step"] == 8  # the last good one, at the end of the first epoch


def test_epochs_are_announced_from_before_training_on(whole):
    assert whole.told == [
        (stage.name, epoch, (30, exits, 2))
        for stage, notes, exits in zip(STAGES, whole.notes, (1, 3), strict=True)
        for epoch in range(notes["epochs"] + 1)
    ]


def test_fresh_classifiers_tell_texts_apart(task):
    """With PyTorch's own initialisation hardly any signal passes five layers; with Xavier's it does."""
    spread = {}
    for init in ("pytorch", "xavier"):
        p = probabilities(fresh(task, init), task[1].encoded, 0)
        logits = np.log(p[..., 1] / p[..., 0])  # [samples, layers]
        spread[init] = logits.std(axis=0).mean()
    assert spread["xavier"] > 5 * spread["pytorch"]
