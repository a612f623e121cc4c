"""What a stage of training minimises: functions of the logits of all its exits and of what the rows teach."""

from collections.abc import Callable
from typing import NamedTuple

import torch
from torch import Tensor
from torch.nn import functional


class States(NamedTuple):
    """What one model computed of a batch on the way to its answer.

    hidden: [b, n, hidden] each, of the embeddings and of every matched layer, as classifiers read them
    attention: [b, heads, n, n] each, of every matched layer, scaled but before the softmax; none if not asked for
    """

    hidden: list[Tensor]
    attention: list[Tensor]


class Matched(NamedTuple):
    """States of a shallow student and its deep teacher; `mask` bool [b, n]: real tokens, None if nothing is padded."""

    student: States
    teacher: States
    mask: Tensor | None


class Targets(NamedTuple):
    """What a batch teaches.

    labels: int64 [b]
    soft: float32 [b, classes], the probabilities of a deeper teacher, None where there is none
    step: number of the training step, from 0, None for held-out rows
    matched: a shallow student's states beside its deep teacher's, None where the stage matches none
    """

    labels: Tensor
    soft: Tensor | None = None
    step: int | None = None
    matched: Matched | None = None


# From logits [b, exits, classes] of the exits that a stage runs, the last of which may be the teacher, to a scalar.
Loss = Callable[[Tensor, Targets], Tensor]

# Of the soft labels of a shallow student, as in the literature on distillation: the small probabilities count too.
TEMPERATURE = 2.0
# Of PKD's [CLS] term: its β of 500 for a mean over BERT-base's 768 units, for the squared distance that the mean is of.
PATIENCE = 500 / 768


def cross_entropy(logits: Tensor, targets: Targets) -> Tensor:
    """Cross entropy with the labels, mean over the batch, summed over the exits."""
    b, exits, classes = logits.shape
    repeated = targets.labels[:, None].expand(b, exits).reshape(-1)
    return functional.cross_entropy(logits.float().reshape(-1, classes), repeated) * exits


def students_cross_entropy(logits: Tensor, targets: Targets) -> Tensor:
    """The same of the students alone (DeeBERT's second stage)."""
    return cross_entropy(logits[:, :-1], targets)


def linear_cross_entropy(logits: Tensor, targets: Targets) -> Tensor:
    """Σ i·CEᵢ / Σ i over exits i = 1, 2, …: a deeper one counts for more (PABEE)."""
    b, exits, _ = logits.shape
    repeated = targets.labels[:, None].expand(b, exits)
    each = functional.cross_entropy(logits.float().transpose(1, 2), repeated, reduction="none").mean(dim=0)
    weights = torch.arange(1, exits + 1, device=logits.device)
    return (weights * each).sum() / weights.sum()


def alternating(logits: Tensor, targets: Targets) -> Tensor:
    """Cross entropy of the last exit at even steps, summed over all at odd ones and for held-out rows (BERxiT)."""
    last_only = targets.step is not None and targets.step % 2 == 0
    return cross_entropy(logits[:, -1:] if last_only else logits, targets)


def joint_self_distillation(logits: Tensor, targets: Targets) -> Tensor:
    """Cross entropy of every exit with the labels, and of every student with the teacher's probabilities (BERxiT)."""
    log_s, log_t = _students_and_teacher(logits)
    return cross_entropy(logits, targets) - (log_t.exp() * log_s).sum(dim=-1).mean(dim=0).sum()


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


def imitation(logits: Tensor, targets: Targets) -> Tensor:
    """KL(soft labels ‖ exit), mean over the batch, summed over the exits: another classifier is imitated."""
    soft = targets.soft.clamp(min=torch.finfo(torch.float32).tiny).log()
    log_p = functional.log_softmax(logits.float(), dim=-1)
    return _divergence(soft[:, None].expand_as(log_p), log_p)


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


def soft_labels_and_cls(logits: Tensor, targets: Targets) -> Tensor:
    """PKD: soft labels, and the squared distance of normalised [CLS] vectors, mean over layers, times PATIENCE.

    Embeddings and the last layer are not matched: the soft labels hold the last. So of one layer nothing is.
    """
    student, teacher, _ = targets.matched
    distances = [
        (functional.normalize(s[:, 0].float(), dim=-1) - functional.normalize(t[:, 0].float(), dim=-1)).square()
        for s, t in zip(student.hidden[1:-1], teacher.hidden[1:-1], strict=True)
    ]
    apart = sum(distance.sum(dim=-1).mean() for distance in distances) / max(1, len(distances))
    return soft_labels(logits, targets) + PATIENCE * apart


def hidden_and_attention(logits: Tensor, targets: Targets) -> Tensor:
    """TinyBERT's first stage: mean squared errors of hidden states and of attention scores, summed over the layers.

    Of real tokens and pairs of real tokens; the embeddings' states count as a layer's. No logits are needed.
    """
    student, teacher, mask = targets.matched
    if mask is None:
        tokens = pairs = ...
    else:
        tokens, pairs = mask, (mask[:, :, None] & mask[:, None, :])

    def apart(s: Tensor, t: Tensor) -> Tensor:
        return (s.float() - t.float()).square()

    hidden = sum(apart(*both)[tokens].mean() for both in zip(student.hidden, teacher.hidden, strict=True))
    # Heads last, for pairs of tokens to come first.
    scores = zip(student.attention, teacher.attention, strict=True)
    return hidden + sum(apart(*both).permute(0, 2, 3, 1)[pairs].mean() for both in scores)


def _students_and_teacher(logits: Tensor) -> tuple[Tensor, Tensor]:
    """Log-probabilities of the students and, repeated for each of them, of the teacher: [b, exits - 1, classes]."""
    log_p = functional.log_softmax(logits.float(), dim=-1)
    return log_p[:, :-1], log_p[:, -1:].detach().expand_as(log_p[:, :-1])


def _divergence(log_p: Tensor, log_q: Tensor) -> Tensor:
    return (log_p.exp() * (log_p - log_q)).sum(dim=-1).mean(dim=0).sum()


LOSSES: dict[str, Loss] = {
    "cross-entropy": cross_entropy,
    "students-cross-entropy": students_cross_entropy,
    "linear-cross-entropy": linear_cross_entropy,
    "alternating": alternating,
    "joint-self-distillation": joint_self_distillation,
    "kl": kl,
    "reverse-kl": reverse_kl,
    "imitation": imitation,
    "soft-labels": soft_labels,
    "soft-labels-and-cls": soft_labels_and_cls,
    "hidden-and-attention": hidden_and_attention,
}
# Those that ask for no labels, so that unlabelled rows can teach too.
WITHOUT_LABELS = ("kl", "reverse-kl", "imitation")
# Those that need a deep teacher beside the labels.
OF_A_DEEP_TEACHER = ("soft-labels", "soft-labels-and-cls", "hidden-and-attention")
