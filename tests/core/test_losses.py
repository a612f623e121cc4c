import math

import pytest
import torch
from torch.nn import functional

from fastbert_core.losses import (
    PATIENCE,
    Matched,
    States,
    Targets,
    alternating,
    cross_entropy,
    hidden_and_attention,
    joint_self_distillation,
    kl,
    linear_cross_entropy,
    reverse_kl,
    soft_labels,
    soft_labels_and_cls,
    students_cross_entropy,
)

LABELS = Targets(torch.tensor([0, 4, 2, 2]))


def logits_of(*p):
    return torch.tensor(p, dtype=torch.float64).log()


def test_both_directions_by_hand():
    logits = logits_of([[0.6, 0.4], [0.9, 0.1]])  # one student, then the teacher
    forward = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4)
    backward = 0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(0.4 / 0.1)
    assert kl(logits, LABELS).item() == pytest.approx(forward, rel=1e-6)
    assert reverse_kl(logits, LABELS).item() == pytest.approx(backward, rel=1e-6)
    assert abs(forward - backward) > 0.05


def test_summed_over_students_and_averaged_over_the_batch():
    torch.manual_seed(0)
    logits = torch.randn(4, 4, 5)
    teacher = logits[:, -1].softmax(-1)
    expected = sum(functional.kl_div(logits[:, i].log_softmax(-1), teacher, reduction="batchmean") for i in range(3))
    torch.testing.assert_close(kl(logits, LABELS), expected)


@pytest.mark.parametrize("loss", [kl, reverse_kl])
def test_distillation_has_its_least_at_the_teacher_stays_finite_and_leaves_the_teacher_alone(loss):
    assert loss(torch.randn(4, 1, 5).repeat(1, 3, 1), LABELS).item() == pytest.approx(0, abs=1e-6)
    impossible = torch.tensor([[[80.0, -80.0], [-80.0, 80.0]]], requires_grad=True)  # a class
    logits = torch.randn(4, 3, 5, requires_grad=True)
    for given in (impossible, logits):
        value = loss(given, LABELS)
        value.backward()
        assert torch.isfinite(value)
        assert torch.isfinite(given.grad).all()
    assert not logits.grad[:, -1].any()
    assert logits.grad[:, :-1].any()


def test_a_shallow_model_learns_from_labels_and_softened_soft_labels():
    logits, soft, labels = torch.tensor([[1.0, -1.0], [0.5, 0.2]]), torch.tensor([[0.9, 0.1], [0.3, 0.7]]), [0, 1]
    p = logits.softmax(-1)

    def softened(q):  # at a temperature of 2
        return q.sqrt() / q.sqrt().sum(-1, keepdim=True)

    hard = -(p[0, 0].log() + p[1, 1].log()) / 2
    divergence = (softened(soft) * (softened(soft) / softened(p)).log()).sum(-1).mean()
    loss = soft_labels(logits[:, None], Targets(torch.tensor(labels), soft))
    torch.testing.assert_close(loss, 0.5 * hard + 2.0 * divergence)


def test_a_soft_label_of_0_leaves_the_loss_finite():
    targets = Targets(torch.tensor([1]), torch.tensor([[0.0, 1.0]]))
    assert torch.isfinite(soft_labels(torch.tensor([[[3.0, -3.0]]]), targets))


def test_a_deeper_exit_counts_for_more():
    logits = torch.randn(4, 3, 5)
    one, two, three = (functional.cross_entropy(logits[:, i], LABELS.labels) for i in range(3))
    torch.testing.assert_close(linear_cross_entropy(logits, LABELS), (1 * one + 2 * two + 3 * three) / 6)


def test_students_learn_from_labels_without_the_teacher():
    logits = torch.randn(4, 3, 5)
    torch.testing.assert_close(students_cross_entropy(logits, LABELS), cross_entropy(logits[:, :2], LABELS))


def test_the_last_exit_and_all_take_turns():
    logits = torch.randn(4, 3, 5)
    last, every = functional.cross_entropy(logits[:, -1], LABELS.labels), cross_entropy(logits, LABELS)
    for step, expected in ((0, last), (1, every), (2, last), (7, every), (None, every)):
        torch.testing.assert_close(alternating(logits, LABELS._replace(step=step)), expected)


def test_students_learn_from_labels_and_a_teacher_that_they_leave_alone():
    logits = torch.randn(4, 3, 5, requires_grad=True)
    p = logits.detach()[:, -1].softmax(-1)
    expected = cross_entropy(logits, LABELS)
    for i in range(2):
        expected = expected - (p * logits[:, i].log_softmax(-1)).sum(-1).mean()
    loss = joint_self_distillation(logits, LABELS)
    torch.testing.assert_close(loss, expected)
    (gradient,) = torch.autograd.grad(loss, logits)
    (of_labels,) = torch.autograd.grad(cross_entropy(logits, LABELS), logits)
    torch.testing.assert_close(gradient[:, -1], of_labels[:, -1])


def states(layers, attention=0):
    return States([torch.randn(2, 3, 4) for _ in range(layers)], [torch.randn(2, 2, 3, 3) for _ in range(attention)])


def test_cls_vectors_of_the_layers_between_are_held_against_the_teachers():
    targets = Targets(torch.tensor([0, 1]), torch.full((2, 2), 0.5), matched=Matched(states(4), states(4), None))
    logits, expected = torch.randn(2, 1, 2), 0.0
    for layer in (1, 2):  # neither the embeddings nor the last
        for row in (0, 1):
            s, t = (side.hidden[layer][row, 0] for side in (targets.matched.student, targets.matched.teacher))
            expected += ((s / s.norm() - t / t.norm()) ** 2).sum() / 4
    found = soft_labels_and_cls(logits, targets) - soft_labels(logits, targets)
    torch.testing.assert_close(found, PATIENCE * expected)
    of_one_layer = targets._replace(matched=Matched(states(2), states(2), None))
    torch.testing.assert_close(soft_labels_and_cls(logits, of_one_layer), soft_labels(logits, targets))


def test_states_and_attention_of_real_tokens_are_held_against_the_teachers():
    student, teacher = states(3, attention=2), states(3, attention=2)
    real = ((0, 3), (1, 2))  # row, tokens
    padded = unpadded = 0.0
    for s, t in zip(student.hidden, teacher.hidden, strict=True):
        unpadded += functional.mse_loss(s, t)
        padded += torch.cat([(s - t)[row, :n].flatten() for row, n in real]).square().mean()
    for s, t in zip(student.attention, teacher.attention, strict=True):
        unpadded += functional.mse_loss(s, t)
        padded += torch.cat([(s - t)[row, :, :n, :n].flatten() for row, n in real]).square().mean()
    mask = torch.tensor([[True, True, True], [True, True, False]])
    for given, expected in ((mask, padded), (torch.ones_like(mask), unpadded), (None, unpadded)):
        targets = LABELS._replace(matched=Matched(student, teacher, given))
        torch.testing.assert_close(hidden_and_attention(torch.empty(0), targets), expected)
