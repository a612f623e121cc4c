"""What holds for every training because it is there, and what tells them apart: gradients, layer beside layer."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest
import torch
from transformers import BertConfig, BertModel

from fastbert_core.encoding import Batch
from fastbert_core.gradients import GRADIENTS
from fastbert_core.losses import LOSSES, OF_A_DEEP_TEACHER, Targets, cross_entropy
from fastbert_core.matching import match
from fastbert_core.train import Samples, Workplace, train
from fastbert_core.trainings import TRAININGS, Schedule, Schedules
from tests.core.small import CLASSES, PAD, encoded_samples, make_model

LAYERS = 4
SCHEDULE = Schedule(epochs=4, rate=2e-2, batch_size=8)  # three steps an epoch: a resumed one begins at an odd step
SCHEDULES = Schedules(SCHEDULE, SCHEDULE)
PARTS = ("backbone", "teacher", "students")
ROOT = Path(__file__).parents[2]


def learnable():
    encoded = encoded_samples(list(np.random.default_rng(1).integers(2, 9, 24)))
    ids = np.array([encoded.ids[start] for start in encoded.offsets[:-1]])
    labels = (ids % len(CLASSES)).astype(np.int64)
    soft = np.eye(len(CLASSES), dtype=np.float32)[labels] * 0.7 + 0.1
    return Samples(encoded, labels, soft)


SAMPLES = learnable()


def is_shallow(name):
    return any(stage.loss in OF_A_DEEP_TEACHER for stage in TRAININGS[name](SCHEDULES))


def models_of(name):
    """What a training begins with, and the deep teacher where it needs one."""
    deep = make_model(layers=LAYERS)
    if not is_shallow(name):
        return deep, None
    model = deep.first_of_blocks(2)
    torch.manual_seed(5)
    for weights in model.parameters():  # as far from the teacher as a layer left out takes a trained one
        weights.data += 0.05 * torch.randn_like(weights)
    return model, deep


def run(name, folder, killed=None, schedules=SCHEDULES):
    """Every stage of a training: the model, and the notes of each stage.

    Dies in the second epoch of a stage that is not among the `killed`, if there are such, and puts it among them.
    """

    def after_epoch(stage, epoch, p):
        if killed is not None and epoch == 2 and stage.name not in killed:
            killed.append(stage.name)
            raise KeyboardInterrupt

    place = Workplace(folder, PAD, "fp32", lambda _: None, after_epoch=after_epoch, checkpoint_seconds=1e9)
    model, deep = models_of(name)
    return model, [train(model, stage, SAMPLES, SAMPLES, place, deep) for stage in TRAININGS[name](schedules)]


def parts_of(model):
    last = f"classifiers.{model.layers - 1}."
    return {
        name: "backbone" if name.startswith("backbone.") else "teacher" if name.startswith(last) else "students"
        for name, _ in model.named_parameters()
    }


@pytest.mark.parametrize("name", TRAININGS)
def test_its_stages_name_what_there_is(name):
    stages = TRAININGS[name](SCHEDULES)
    assert len({stage.name for stage in stages}) == len(stages)  # a stage's files are named after it
    for stage in stages:
        assert stage.trains
        assert set(stage.trains) <= set(PARTS)
        assert stage.loss in LOSSES
        assert stage.gradients in GRADIENTS
        assert (stage.exits, stage.keeps) in {(exits, keeps) for exits in ("all", "last") for keeps in ("best", "last")}
        assert stage.matches is None or stage.exits == "last"


@pytest.fixture(scope="module", params=TRAININGS)
def whole(request, tmp_path_factory):
    """A training's name, what it makes, and the notes of its stages, of each of which it is held what it moves."""
    model, deep = models_of(request.param)
    place = Workplace(tmp_path_factory.mktemp("whole"), PAD, "fp32", lambda _: None)
    taught = None if deep is None else {key: value.clone() for key, value in deep.state_dict().items()}
    notes, moves = [], []
    for stage in TRAININGS[request.param](SCHEDULES):
        before = {key: value.clone() for key, value in model.state_dict().items()}
        notes.append(train(model, stage, SAMPLES, SAMPLES, place, deep))
        moved = {key for key, value in model.state_dict().items() if not torch.equal(value, before[key])}
        moves.append((stage, moved, {key for key, p in model.named_parameters() if p.requires_grad}))
        assert all(p.grad is None for p in model.parameters())
    if deep is not None:
        assert all(torch.equal(value, taught[key]) for key, value in deep.state_dict().items())
        assert all(p.grad is None for p in deep.parameters())
    return request.param, model, notes, moves


def test_every_parameter_that_it_names_moves_and_no_other(whole):
    _, model, _, moves = whole
    for stage, moved, learning in moves:
        assert moved == learning == {key for key, part in parts_of(model).items() if part in stage.trains}


def test_killed_after_an_epoch_it_goes_on_to_the_same_bits(whole, tmp_path):
    name, model, notes, moves = whole
    killed = []
    for stage, *_ in moves:
        with pytest.raises(KeyboardInterrupt):
            run(name, tmp_path, killed)
        assert killed[-1] == stage.name
        assert (tmp_path / f"{stage.name}-checkpoint.safetensors").is_file()
    again, notes_again = run(name, tmp_path, killed)
    assert notes_again == notes
    for one, other in zip(model.state_dict().values(), again.state_dict().values(), strict=True):
        assert torch.equal(one, other)


def test_its_loss_falls(whole):
    _, _, notes, moves = whole
    for told, (stage, *_) in zip(notes, moves, strict=True):
        assert told["epochs"] == len(told["held_out_loss"]) == stage.schedule.epochs
        assert np.mean(told["train_loss"][-2:]) < 0.9 * told["train_loss"][0]


def test_joint_training_is_labels_by_another_name():
    (joint,), (labels,) = (TRAININGS[name](SCHEDULES) for name in ("joint", "labels"))
    assert dataclasses.replace(joint, name="labels") == labels


def test_the_directions_of_kl_are_two_trainings():
    losses = [TRAININGS[name](SCHEDULES)[1].loss for name in ("self-distillation", "reverse-kl")]
    assert losses == ["kl", "reverse-kl"]


def test_the_last_exit_and_all_take_turns_in_the_loop(tmp_path, monkeypatch):
    steps, alternating = [], LOSSES["alternating"]

    def watched(logits, targets):
        if targets.step is not None:
            loss = alternating(logits, targets)
            (gradient,) = torch.autograd.grad(loss, logits, retain_graph=True)
            steps.append((targets.step, bool(gradient[:, :-1].any())))
        return alternating(logits, targets)

    monkeypatch.setitem(LOSSES, "alternating", watched)
    run("alternating", tmp_path)
    assert steps == [(step, step % 2 == 1) for step in range(12)]


def test_gradients_meet_in_the_loop_as_the_stage_says(tmp_path):
    one_step = Schedules(*[dataclasses.replace(SCHEDULE, epochs=1, batch_size=24)] * 2)
    after = {}
    for name, gradients in (("joint", "sum"), ("gradient-equilibrium", "mean"), ("sweet", "own")):
        assert [stage.gradients for stage in TRAININGS[name](one_step)] == [gradients]
        after[name] = run(name, tmp_path / name, schedules=one_step)[0].state_dict()
    for key, joint in after.pop("joint").items():
        # All classifiers and the last layer learn as in joint training, every other layer in a way of its own.
        same = key.startswith("classifiers.") or f".layer.{LAYERS - 1}." in key
        mean, own = (state[key] for state in after.values())
        assert [torch.equal(joint, mean), torch.equal(joint, own), torch.equal(mean, own)] == [same] * 3, key


def test_a_stage_that_matches_wants_a_deep_teacher(tmp_path):
    (stage,) = TRAININGS["pkd"](SCHEDULES)
    place = Workplace(tmp_path, PAD, "fp32", lambda _: None)
    with pytest.raises(ValueError, match="shallow: found no deep teacher"):
        train(make_model(layers=2), stage, SAMPLES, SAMPLES, place)


IDS = torch.from_numpy(np.random.default_rng(0).integers(5, 100, (3, 7)))
MASK = torch.arange(7) < torch.tensor([7, 4, 2])[:, None]
LABELS = Targets(torch.tensor([0, 2, 1]))


def gradients_of(model, loss):
    """Of every parameter, 0 where the loss does not depend on it."""
    names, parameters = zip(*model.named_parameters(), strict=True)
    found = torch.autograd.grad(loss, parameters, retain_graph=True, allow_unused=True)
    zeros = (torch.zeros_like(p) if g is None else g for p, g in zip(parameters, found, strict=True))
    return dict(zip(names, zeros, strict=True))


def layer_of(name):
    """Of a parameter, the layer (from 1) that it is in; the embeddings count with the first."""
    return 1 + int(name.split("layer.")[1].split(".")[0]) if "layer." in name else 1


@pytest.mark.parametrize("gradients", GRADIENTS)
def test_a_layer_gets_the_sum_or_the_mean_or_its_own_exit_s_gradient(gradients):
    model = make_model(layers=LAYERS).eval().double()
    plain = model.exit_logits(IDS, MASK)
    each = [gradients_of(model, cross_entropy(plain[:, i : i + 1], LABELS)) for i in range(LAYERS)]
    logits = model.exit_logits(IDS, MASK, gradients=gradients)
    assert torch.equal(logits, plain)
    for name, gradient in gradients_of(model, cross_entropy(logits, LABELS)).items():
        if name.startswith("classifiers."):  # learns of its own exit alone, unscaled
            expected = each[int(name.split(".")[1])][name]
        else:
            above = [one[name] for one in each[layer_of(name) - 1 :]]
            expected = {"sum": sum(above), "mean": sum(above) / len(above), "own": above[0]}[gradients]
        torch.testing.assert_close(gradient, expected, msg=lambda text, name=name: f"{name}: {text}")


def test_states_and_scores_are_those_of_transformers(tmp_path):
    """Attention computed by transformers' eager implementation is the softmax of the scores."""
    deep = make_model(BertConfig, layers=LAYERS)
    student = deep.first_of_blocks(2).eval()
    deep.train()  # as fine-tuning leaves it: dropout must not reach the states
    deep.backbone.save_pretrained(tmp_path)
    reference = BertModel.from_pretrained(tmp_path, add_pooling_layer=False, attn_implementation="eager").eval()
    with torch.no_grad():
        expected = reference(IDS, MASK.long(), output_hidden_states=True, output_attentions=True)
    found = match(student, deep, Batch(IDS, MASK, None), attention=True)
    assert deep.training
    for layer, hidden in zip((0, 2, 4), found.teacher.hidden, strict=True):
        torch.testing.assert_close(hidden[MASK], expected.hidden_states[layer][MASK])
    for layer, scores in zip((2, 4), found.teacher.attention, strict=True):
        attention = scores.masked_fill(~MASK[:, None, None, :], float("-inf")).softmax(-1)
        torch.testing.assert_close(attention, expected.attentions[layer - 1])
    assert [len(part) for part in found.student] == [3, 2]
    assert found.student.hidden[1].requires_grad
    assert not any(state.requires_grad or state.is_inference() for part in found.teacher for state in part)


def test_the_page_of_trainings_names_every_one():
    page = (ROOT / "docs" / "trainings.md").read_text(encoding="utf-8")
    assert not [name for name in TRAININGS if f"| `{name}` |" not in page]
