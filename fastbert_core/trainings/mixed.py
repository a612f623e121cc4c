"""Backbone and last exit first, then all exits jointly (Kubaty et al. 2025)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly
from fastbert_core.trainings.self_distillation import fine_tuning

TRAININGS.register("mixed", lambda schedules: (fine_tuning(schedules), jointly(schedules, "joint")))
