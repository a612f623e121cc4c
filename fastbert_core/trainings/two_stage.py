"""Fine-tune backbone and teacher, then the students on the labels (DeeBERT, Xin et al. 2020)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.self_distillation import fine_tuning, students

NAME, LOSS = "two-stage", "students-cross-entropy"

TRAININGS.register(NAME, lambda schedules: (fine_tuning(schedules), students(schedules, LOSS, "students")))
