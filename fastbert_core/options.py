"""The options of training a classifier, and the stages that follow from them."""

import math
from dataclasses import dataclass

from fastbert_core.bounds import positive, whole
from fastbert_core.errors import InputError
from fastbert_core.flops import BERT_BASE
from fastbert_core.losses import OF_A_DEEP_TEACHER
from fastbert_core.trainings import TRAININGS, Schedule, Schedules, Stage

IMITATION = "imitation"
STEPS, MOST_EPOCHS = 300, 20  # small data are gone through more often, to so many steps or epochs


@dataclass(frozen=True)
class Options:
    """How a classifier is trained; None leaves a number to the encoder's width and the rows there are.

    backbone: one of `sources.BACKBONES`, a Hugging Face folder or a hub id
    classifier: a fine-tuned classifier's folder in the place of `backbone`: its encoder is kept, the exits learn to say
        what it says
    training: one of TRAININGS with exits; train_rows: how many labelled rows to learn from, None for all
    """

    backbone: str = "minilm"
    classifier: str | None = None
    training: str = "self-distillation"
    epochs: int | None = None
    rate: float | None = None
    student_epochs: int | None = None
    student_rate: float = 1e-3
    batch_size: int = 32
    max_tokens: int | None = None
    train_rows: int | None = None
    seed: int = 7
    device: str = "auto"
    precision: str = "auto"

    def __post_init__(self) -> None:
        """Raise InputError for a number that there cannot be."""
        whole("seed", self.seed, most=2**32 - 1, least=0)  # which a generator takes
        whole("batch_size", self.batch_size)
        positive("student_rate", self.student_rate, "a number between 0 and 1", below=1)
        if self.rate is not None:
            positive("rate", self.rate, "a number between 0 and 1", below=1)
        for name in ("epochs", "student_epochs", "max_tokens", "train_rows"):
            if (value := getattr(self, name)) is not None:
                whole(name, value)

    def stages(self, hidden: int, rows: int) -> tuple[Stage, ...]:
        """What is trained, of an encoder of `hidden` units on so many rows. InputError for a shallow training."""
        name = IMITATION if self.classifier else self.training
        rate = self.rate or (2e-4 if hidden < BERT_BASE.hidden else 2e-5)
        shared = {"batch_size": self.batch_size}
        fine = Schedule(self.epochs or self._epochs(3, rows), rate, **shared)
        students = self.student_epochs or self._epochs(5, rows)
        distil = Schedule(students, self.student_rate, until_flat=self.student_epochs is None, **shared)
        stages = TRAININGS[name](Schedules(fine, distil))
        if any(stage.loss in OF_A_DEEP_TEACHER for stage in stages):
            raise InputError(f"training: found {name!r}, which makes a shallow model, expected one with exits")
        if name == IMITATION and not self.classifier:
            raise InputError(f"training: found {name!r} without a classifier, expected --classifier FOLDER")
        return stages

    def _epochs(self, least: int, rows: int) -> int:
        return min(MOST_EPOCHS, max(least, math.ceil(STEPS * self.batch_size / rows)))
