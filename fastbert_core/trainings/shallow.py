"""A shallow model from a deep teacher's soft labels, as DistilBERT learns on a task (paper, section 2)."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage


def distilled(schedules: Schedules) -> tuple[Stage, ...]:
    """Backbone and last exit of a model of fewer layers, on labels and soft labels."""
    trains = ("backbone", "teacher")
    return (Stage("shallow", trains, "soft-labels", schedules.fine_tuning, exits="last", keeps="best"),)


TRAININGS.register("distilbert", distilled)
