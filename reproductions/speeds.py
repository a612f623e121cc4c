"""The settings of tables: the paper's speeds, the one that is chosen on dev, equal FLOPs; and what is lost to BERT."""

import pandas as pd

PAPER_SPEEDS = (0.1, 0.5, 0.8)
CHOSEN = "chosen on dev"  # how the setting of that speed ends
EQUAL_FLOPS = "equal FLOPs"  # the setting of a model at as many FLOPs as all layers of a smaller encoder take
TOLERATED_LOSS = 0.5  # points: "without losing accuracy", and what that speed may lose on dev


def at_chosen_speed(table2: pd.DataFrame, comparisons: pd.DataFrame) -> pd.DataFrame:
    """Table 2's row of each task at the speed chosen on dev, and the columns of `lost_to_bert` beside it."""
    rows = table2[table2["setting"].str.endswith(CHOSEN)]
    return rows.merge(lost_to_bert(comparisons), on=["task", "setting"])


def lost_to_bert(comparisons: pd.DataFrame) -> pd.DataFrame:
    """What FastBERT loses to BERT at each of its settings, where that is known.

    Returns:
        task, setting; loss, loss_low, loss_high: points of accuracy and their paired 95% interval; errors_added: the
        same in per cent of BERT's errors; without_loss.
    """
    pairs = comparisons[comparisons["against"] == "BERT"]
    pairs = pairs.dropna(subset=["difference", "difference_low", "difference_high"])
    return pairs[["task", "setting", "errors_added", "without_loss"]].assign(
        loss=0 - pairs["difference"],  # from 0, so that none is -0
        loss_low=0 - pairs["difference_high"],
        loss_high=0 - pairs["difference_low"],
    )
