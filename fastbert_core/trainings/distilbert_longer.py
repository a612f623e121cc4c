"""DistilBERT for as many epochs as FastBERT has in both of its stages, whose students train longer than a teacher."""

import dataclasses

from fastbert_core.trainings import TRAININGS, Schedules, Stage
from fastbert_core.trainings.distilbert import shallow


def longer(schedules: Schedules) -> tuple[Stage, ...]:
    """The stage of `distilbert` with the epochs of fine-tuning and the least of distillation."""
    stage = shallow(schedules)
    epochs = schedules.fine_tuning.epochs + schedules.distillation.epochs
    return (dataclasses.replace(stage, schedule=dataclasses.replace(stage.schedule, epochs=epochs)),)


TRAININGS.register("distilbert-longer", longer)
