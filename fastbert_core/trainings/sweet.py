"""Each layer on its own exit alone: hidden states are detached between exits (SWEET, Rotem et al. 2023)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly

TRAININGS.register("sweet", lambda schedules: (jointly(schedules, "sweet", gradients="own"),))
