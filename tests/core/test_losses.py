import math

import pytest
import torch
from torch.nn import functional

from fastbert_core.losses import LOSSES, Targets, cross_entropy, kl, reverse_kl, soft_labels

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
def test_a_perfect_student_loses_nothing(loss):
    assert loss(torch.randn(4, 1, 5).repeat(1, 3, 1), LABELS).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("loss", [kl, reverse_kl])
def test_an_impossible_class_stays_finite(loss):
    logits = torch.tensor([[[80.0, -80.0], [-80.0, 80.0]]], requires_grad=True)
    value = loss(logits, LABELS)
    value.backward()
    assert torch.isfinite(value)
    assert torch.isfinite(logits.grad).all()


@pytest.mark.parametrize("loss", [kl, reverse_kl])
def test_distillation_leaves_the_teacher_alone(loss):
    logits = torch.randn(4, 3, 5, requires_grad=True)
    loss(logits, LABELS).backward()
    assert not logits.grad[:, -1].any()
    assert logits.grad[:, :-1].any()


def test_cross_entropy_sums_over_exits():
    torch.manual_seed(0)
    logits = torch.randn(4, 3, 5)
    expected = sum(functional.cross_entropy(logits[:, i], LABELS.labels) for i in range(3))
    torch.testing.assert_close(cross_entropy(logits, LABELS), expected)


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


@pytest.mark.parametrize("name", LOSSES)
def test_every_loss_is_a_number_with_a_gradient(name):
    torch.manual_seed(1)
    logits = torch.randn(4, 3, 5, requires_grad=True)
    LOSSES[name](logits, Targets(LABELS.labels, torch.full((4, 5), 0.2))).backward()
    assert torch.isfinite(logits.grad).all()
    assert logits.grad.any()
