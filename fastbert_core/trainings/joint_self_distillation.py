"""Joint training in which students learn from the teacher beside the labels (BERxiT, Xin et al. 2021)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly

NAME = "joint-self-distillation"

TRAININGS.register(NAME, lambda schedules: (jointly(schedules, NAME, loss=NAME),))
