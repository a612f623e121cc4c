"""DistilBERT for as many epochs as FastBERT has in both of its stages, whose students train longer than a teacher."""

import dataclasses

from fastbert_core.trainings import TRAININGS, Schedules, Stage
from fastbert_core.trainings.distilbert import shallow


def longer(schedules: Schedules) -> tuple[Stage, ...]:
    """The stage of `distilbert` with the epochs of fine-tuning and the least of distillation."""
    both = schedules.fine_tuning.epochs + schedules.distillation.epochs
    fine_tuning = dataclasses.replace(schedules.fine_tuning, epochs=both)
    return (shallow(dataclasses.replace(schedules, fine_tuning=fine_tuning)),)


TRAININGS.register("distilbert-longer", longer)
