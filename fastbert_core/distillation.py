"""What the classifiers are trained to do: labels in fine-tuning, the teacher's soft labels in self-distillation."""

from torch import Tensor
from torch.nn import functional

from fastbert_core.errors import InputError

# The first is what the authors' code computes, and made the paper's numbers; the second is equation 5 as printed.
KL_DIRECTIONS = ("teacher-student", "student-teacher")


def label_loss(logits: Tensor, labels: Tensor) -> Tensor:
    """Cross entropy, mean over the batch, summed over the classifiers. `logits` [b, classifiers, classes]."""
    b, classifiers, classes = logits.shape
    repeated = labels[:, None].expand(b, classifiers).reshape(-1)
    return functional.cross_entropy(logits.float().reshape(-1, classes), repeated) * classifiers


def distillation_loss(student: Tensor, teacher: Tensor, direction: str = "teacher-student") -> Tensor:
    """KL divergence between teacher and students, mean over the batch, summed over the students.

    `student` logits [b, students, classes], `teacher` logits [b, classes]. "teacher-student" is
    KL(teacher ‖ student) = Σ t log(t/s), as the authors' code computes it; "student-teacher" is
    KL(student ‖ teacher) = Σ s log(s/t), equation 5 of the paper.
    """
    if direction not in KL_DIRECTIONS:
        raise InputError(f"KL direction: found {direction!r}, expected one of {', '.join(KL_DIRECTIONS)}")
    log_s = functional.log_softmax(student.float(), dim=-1)  # [b, students, classes]
    log_t = functional.log_softmax(teacher.float(), dim=-1)[:, None, :].expand_as(log_s)
    log_p, log_q = (log_t, log_s) if direction == "teacher-student" else (log_s, log_t)
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=0).sum()


# As in the literature on distillation: softened so that the small probabilities count too.
TEMPERATURE = 2.0


def compact_loss(logits: Tensor, soft_log: Tensor, labels: Tensor) -> Tensor:
    """What a DistilBERT learns: the mean of cross entropy on labels and KL(teacher ‖ student) at TEMPERATURE.

    `logits` [b, classes]; `soft_log` [b, classes], log-probabilities of the teacher; `labels` [b]. The
    divergence is scaled by the squared temperature, so that both parts pull alike.
    """
    hard = functional.cross_entropy(logits.float(), labels)
    log_s = functional.log_softmax(logits.float() / TEMPERATURE, dim=-1)
    log_t = functional.log_softmax(soft_log / TEMPERATURE, dim=-1)
    soft = functional.kl_div(log_s, log_t, log_target=True, reduction="batchmean")
    return 0.5 * hard + 0.5 * TEMPERATURE**2 * soft
