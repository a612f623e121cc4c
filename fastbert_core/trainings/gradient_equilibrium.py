"""Joint training in which a layer gets the mean of its exits' gradients (Li et al. 2019; ElasticBERT, 2022)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly

NAME = "gradient-equilibrium"

TRAININGS.register(NAME, lambda schedules: (jointly(schedules, NAME, gradients="mean"),))
