"""All classifiers on the labels in fine-tuning: the paper's "without self-distillation" (table 3)."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage


def on_labels(schedules: Schedules) -> tuple[Stage, ...]:
    """Backbone and all classifiers together; the best epoch of the last exit is kept."""
    trains = ("backbone", "teacher", "students")
    return (Stage("labels", trains, "cross-entropy", schedules.fine_tuning, keeps="best"),)


TRAININGS.register("labels", on_labels)
