"""What a stage of training minimises: functions of the logits of all its exits and of what the rows teach."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class Targets(NamedTuple):
    """What a batch teaches.

    labels: int64 [b]; soft: float32 [b, classes], the probabilities of a deeper teacher, None where there is none
    """

    labels: Tensor
    soft: Tensor | None = None


# From logits [b, exits, classes] of the exits that a stage runs, the last of which may be the teacher, to a scalar.
Loss = Callable[[Tensor, Targets], Tensor]

# Of the soft labels of a shallow student, as in the literature on distillation: the small probabilities count too.
TEMPERATURE = 2.0


def cross_entropy(logits: Tensor, targets: Targets) -> Tensor:
    """Cross entropy with the labels, mean over the batch, summed over the exits."""
    b, exits, classes = logits.shape
    repeated = targets.labels[:, None].expand(b, exits).reshape(-1)
    return functional.cross_entropy(logits.float().reshape(-1, classes), repeated) * exits


def kl(logits: Tensor, targets: Targets) -> Tensor:
    """Σ over students of KL(teacher ‖ student), mean over the batch: what the authors' code computes.

    The last exit is the teacher, which it does not train.
    """
    log_s, log_t = _students_and_teacher(logits)
    return _divergence(log_t, log_s)


def reverse_kl(logits: Tensor, targets: Targets) -> Tensor:
    """Σ over students of KL(student ‖ teacher), mean over the batch: equation 5 as the paper prints it."""
    log_s, log_t = _students_and_teacher(logits)
    return _divergence(log_s, log_t)


def soft_labels(logits: Tensor, targets: Targets) -> Tensor:
    """What a shallow model (DistilBERT) learns in its last exit: labels and a deeper teacher's softened probabilities.

    The mean of cross entropy and of KL(teacher ‖ student) at TEMPERATURE, which is scaled by the squared temperature
    so that both parts pull alike.
    """
    student = logits[:, -1].float()
    hard = functional.cross_entropy(student, targets.labels)
    # A probability that underflowed to 0 would be -inf here, and the loss NaN.
    soft = targets.soft.clamp(min=torch.finfo(torch.float32).tiny).log()
    log_s = functional.log_softmax(student / TEMPERATURE, dim=-1)
    log_t = functional.log_softmax(soft / TEMPERATURE, dim=-1)
    divergence = functional.kl_div(log_s, log_t, log_target=True, reduction="batchmean")
    return 0.5 * hard + 0.5 * TEMPERATURE**2 * divergence


def _students_and_teacher(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the students and, repeated for each of them, of the teacher: [b, exits - 1, classes]."""
    log_p = functional.log_softmax(logits.float(), dim=-1)
    return log_p[:, :-1], log_p[:, -1:].detach().expand_as(log_p[:, :-1])


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=0).sum()


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "kl": kl,
    "reverse-kl": reverse_kl,
    "soft-labels": soft_labels,
}
