"""All classifiers on the labels in fine-tuning: the paper's "without self-distillation" (table 3)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly

TRAININGS.register("labels", lambda schedules: (jointly(schedules, "labels"),))
