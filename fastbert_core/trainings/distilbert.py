"""A shallow model from a deep teacher's soft labels, as DistilBERT learns on a task (paper, section 2)."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage


def shallow(schedules: Schedules, loss: str = "soft-labels", matches: str | None = None) -> Stage:
    """Backbone and last exit of a model of fewer layers; the best epoch is kept."""
    trains, schedule = ("backbone", "teacher"), schedules.fine_tuning
    return Stage("shallow", trains, loss, schedule, exits="last", keeps="best", matches=matches)


TRAININGS.register("distilbert", lambda schedules: (shallow(schedules),))
