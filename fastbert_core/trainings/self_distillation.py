"""FastBERT's training (paper, section 3.3): fine-tune backbone and teacher, then students learn from the teacher."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage


def fine_tuning(schedules: Schedules) -> Stage:
    """Backbone and teacher on the labels; the epoch that is best on held-out rows is kept."""
    trains = ("backbone", "teacher")
    return Stage("fine-tuning", trains, "cross-entropy", schedules.fine_tuning, exits="last", keeps="best")


def students(schedules: Schedules, loss: str, name: str = "self-distillation") -> Stage:
    """The students on `loss`, everything else frozen."""
    return Stage(name, ("students",), loss, schedules.distillation)


TRAININGS.register("self-distillation", lambda schedules: (fine_tuning(schedules), students(schedules, "kl")))
