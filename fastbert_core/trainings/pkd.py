"""A shallow model from soft labels and the [CLS] vectors of matched layers (PKD, Sun et al. 2019)."""

from fastbert_core.trainings import TRAININGS
from fastbert_core.trainings.distilbert import shallow

TRAININGS.register("pkd", lambda schedules: (shallow(schedules, "soft-labels-and-cls", "hidden"),))
