import math

import pytest
import torch
from torch.nn import functional

from fastbert_core.distillation import compact_loss, distillation_loss, label_loss
from fastbert_core.errors import InputError


def logits_of(*p):
    return torch.tensor(p, dtype=torch.float64).log()


def test_both_directions_by_hand():
    teacher, student = logits_of([0.9, 0.1]), logits_of([[0.6, 0.4]])
    forward = 0.9 * math.log(0.9 / 0.6) + 0.1 * math.log(0.1 / 0.4)
    backward = 0.6 * math.log(0.6 / 0.9) + 0.4 * math.log(0.4 / 0.1)
    assert distillation_loss(student, teacher).item() == pytest.approx(forward, rel=1e-6)
    assert distillation_loss(student, teacher, "student-teacher").item() == pytest.approx(backward, rel=1e-6)
    assert abs(forward - backward) > 0.05


def test_summed_over_students_and_averaged_over_the_batch():
    torch.manual_seed(0)
    student, teacher = torch.randn(4, 3, 5), torch.randn(4, 5)
    expected = sum(
        functional.kl_div(student[:, i].log_softmax(-1), teacher.softmax(-1), reduction="batchmean") for i in range(3)
    )
    torch.testing.assert_close(distillation_loss(student, teacher), expected)


@pytest.mark.parametrize("direction", ["teacher-student", "student-teacher"])
def test_a_perfect_student_loses_nothing(direction):
    teacher = torch.randn(4, 5)
    assert distillation_loss(teacher[:, None].repeat(1, 2, 1), teacher, direction).item() == pytest.approx(0, abs=1e-6)


@pytest.mark.parametrize("direction", ["teacher-student", "student-teacher"])
def test_an_impossible_class_stays_finite(direction):
    student = torch.tensor([[[80.0, -80.0]]], requires_grad=True)
    loss = distillation_loss(student, torch.tensor([[-80.0, 80.0]]), direction)
    loss.backward()
    assert torch.isfinite(loss)
    assert torch.isfinite(student.grad).all()


def test_an_unknown_direction_is_refused():
    with pytest.raises(InputError, match="KL direction: found 'sideways'"):
        distillation_loss(torch.zeros(1, 1, 2), torch.zeros(1, 2), "sideways")


def test_label_loss_sums_over_classifiers():
    torch.manual_seed(0)
    logits, labels = torch.randn(4, 3, 5), torch.tensor([0, 4, 2, 2])
    expected = sum(functional.cross_entropy(logits[:, i], labels) for i in range(3))
    torch.testing.assert_close(label_loss(logits, labels), expected)


def test_a_compact_model_learns_from_labels_and_softened_soft_labels():
    logits, soft, labels = torch.tensor([[1.0, -1.0], [0.5, 0.2]]), torch.tensor([[0.9, 0.1], [0.3, 0.7]]), [0, 1]
    p = logits.softmax(-1)

    def softened(q):  # at a temperature of 2
        return q.sqrt() / q.sqrt().sum(-1, keepdim=True)

    hard = -(p[0, 0].log() + p[1, 1].log()) / 2
    divergence = (softened(soft) * (softened(soft) / softened(p)).log()).sum(-1).mean()
    torch.testing.assert_close(compact_loss(logits, soft.log(), torch.tensor(labels)), 0.5 * hard + 2.0 * divergence)
