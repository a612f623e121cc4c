"""Joint training in which exit i counts i times (PABEE, Zhou et al. 2020)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.joint import jointly

TRAININGS.register("joint-linear", lambda schedules: (jointly(schedules, "joint-linear", "linear-cross-entropy"),))
