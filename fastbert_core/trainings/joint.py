"""Joint training: all exits on the labels at once, through everything; the same as `labels`, by its usual name."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage


def jointly(schedules: Schedules, name: str, loss: str = "cross-entropy", gradients: str = "sum") -> Stage:
    """Backbone and all classifiers together; the best epoch of the last exit is kept."""
    trains = ("backbone", "teacher", "students")
    return Stage(name, trains, loss, schedules.fine_tuning, keeps="best", gradients=gradients)


TRAININGS.register("joint", lambda schedules: (jointly(schedules, "joint"),))
