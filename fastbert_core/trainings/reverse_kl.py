"""Self-distillation with the divergence the other way round: equation 5 of the paper as it is printed."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.self_distillation import fine_tuning, students

TRAININGS.register("reverse-kl", lambda schedules: (fine_tuning(schedules), students(schedules, "reverse-kl")))
