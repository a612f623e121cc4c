"""Trainings: each is data, the stages that `fastbert_core.train` goes through, one file a training."""

from collections.abc import Callable
from dataclasses import dataclass

from fastbert_core.registry import Registry


@dataclass(frozen=True)
class Schedule:
    """How long and how fast a stage is trained.

    epochs: how many; with `until_flat` at least so many
    rate: AdamW's learning rate; classifier_rate: that of the classifiers where it is another, None if it is not
    warmup: share of the `epochs` in which the rate rises from 0; after that it falls to 0 along a line
    until_flat: the rate stays after warm-up until the loss on held-out rows has stopped falling, then falls to 0
    bias_correction: of AdamW's moments; the authors' optimiser has none, so its first steps are 3 to 6 times larger
    """

    epochs: int
    rate: float
    classifier_rate: float | None = None
    batch_size: int = 32
    warmup: float = 0.1
    weight_decay: float = 0.0
    until_flat: bool = False
    bias_correction: bool = True


@dataclass(frozen=True)
class Stage:
    """One stage of a training.

    trains: of `backbone`, `teacher` (the last exit) and `students` (all others) those that learn; without the
        backbone its hidden states are computed once and shared by all epochs
    loss: name of one of LOSSES
    exits: `all`, or `last` where no other is run
    keeps: `best`, the epoch whose last exit is most often right on the selection rows, or `last`
    gradients: how those of the exits meet on their way down, one of GRADIENTS (fastbert_core/gradients.py)
    matches: of a shallow student whose last exit alone runs, what its loss holds against a deep teacher's: `hidden`,
        its states, or `hidden-and-attention`; None if only logits count
    """

    name: str
    trains: tuple[str, ...]
    loss: str
    schedule: Schedule
    exits: str = "all"
    keeps: str = "last"
    gradients: str = "sum"
    matches: str | None = None

    @property
    def frozen(self) -> bool:
        """Whether the backbone does not learn."""
        return "backbone" not in self.trains


@dataclass(frozen=True)
class Schedules:
    """What the settings say of how long and how fast: the stages with the backbone, and those of the students alone."""

    fine_tuning: Schedule
    distillation: Schedule


TRAININGS: Registry[Callable[[Schedules], tuple[Stage, ...]]] = Registry("training", __name__)
