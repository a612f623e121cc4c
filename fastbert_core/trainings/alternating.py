"""The last exit and all exits in turn, step by step (BERxiT, Xin et al. 2021)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly

TRAININGS.register("alternating", lambda schedules: (jointly(schedules, "alternating", "alternating"),))
