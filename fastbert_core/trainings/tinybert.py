"""A shallow model from hidden states and attention first, then soft labels (TinyBERT, Jiao et al. 2020)."""

from fastbert_core.trainings import TRAININGS, Schedules, Stage
from fastbert_core.trainings.distilbert import shallow

LOSS = "hidden-and-attention"


def states(schedules: Schedules) -> Stage:
    """The backbone alone, layer beside layer of the deep teacher's."""
    return Stage("states", ("backbone",), LOSS, schedules.fine_tuning, exits="last", matches=LOSS)


TRAININGS.register("tinybert", lambda schedules: (states(schedules), shallow(schedules)))
