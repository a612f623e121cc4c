"""Which differences of a results table are significant. Figures ask it too, where no library of models is installed."""

import numpy as np
import pandas as pd

ALPHA = 0.05  # of tests, after Holm's correction


def significant(rows: pd.DataFrame) -> "pd.Series[float]":
    """The sign of each significant `difference` in a table, 0 of others.

    It is significant in the first seed after Holm's correction, and its interval excludes 0: McNemar's test takes one
    seed's luck in training for the training's, the interval is crossed over all seeds.
    """
    told = (rows["mcnemar_p_holm"] < ALPHA) & (rows["difference_low"] * rows["difference_high"] > 0)
    return np.sign(rows["difference"]).where(told, 0)
