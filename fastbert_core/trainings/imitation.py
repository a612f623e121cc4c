"""Of a classifier that is trained already: its encoder is kept, the exits learn what it says. Needs no labels."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage
from fastbert_core.trainings.self_distillation import students


def teacher(schedules: Schedules) -> Stage:
    """The last exit on the classifier's own soft labels, on its frozen hidden states."""
    return Stage("imitation", ("teacher",), "imitation", schedules.distillation, exits="last")


TRAININGS.register("imitation", lambda schedules: (teacher(schedules), students(schedules, "kl")))
