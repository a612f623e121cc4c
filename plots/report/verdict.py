"""What a reader of two minutes takes along: one sentence, and a row for each task."""

import pandas as pd

from plots.curves import CHOSEN
from plots.overview import TOLERATED
from plots.report.cells import Table, table

COLUMNS = {
    "task": "{task}",
    "FLOPs speedup": "{speedup}×",
    "points lost": "{lost}",
    "95% interval": "{low} to {high}",
    f"surely under {TOLERATED:g}": "{without_loss}",
    "BERT %": "{bert}",
    "DistilBERT loses": "{distilbert}",
    "speed": "{speed}",
}
FORMS = {"bert": "{:.2f}", "lost": "{:.2f}", "low": "{:.2f}", "high": "{:.2f}", "speedup": "{:.1f}"}
FORMS |= {"task": "{}", "without_loss": "{}", "speed": "{}", "distilbert": "{}"}


def chosen(table2: pd.DataFrame | None, comparisons: pd.DataFrame | None) -> pd.DataFrame:
    """A row for each task at the speed chosen on dev: what it loses to BERT, with the interval, and what that saves.

    No rows where one of the tables is missing.
    """
    if table2 is None or comparisons is None:
        return pd.DataFrame(columns=[*FORMS])
    pairs = comparisons.loc[comparisons["against"] == "BERT"].dropna(subset="difference")
    columns = ["task", "setting", "difference", "difference_low", "difference_high", "without_loss"]
    own = ["task", "setting", "speedup"]
    rows = table2.loc[table2["setting"].str.endswith(CHOSEN), own].merge(pairs[columns], on=["task", "setting"])
    beside = [_beside(table2[table2["task"] == task]) for task in rows["task"]]
    return rows.assign(
        speed=rows["setting"].str.removeprefix("speed=").str.removesuffix(CHOSEN).str.strip(),
        lost=0 - rows["difference"],  # from 0, so that none is -0
        low=0 - rows["difference_high"],
        high=0 - rows["difference_low"],
        bert=[bert for bert, _ in beside],
        distilbert=[told for _, told in beside],
    )


def _beside(models: pd.DataFrame) -> tuple[float, str]:
    """BERT's accuracy, and what its deepest DistilBERT loses."""
    bert = models.loc[models["model"] == "BERT", "accuracy"].iloc[0]
    found = models[models["model"] == "DistilBERT"].nlargest(1, "mean_layers")
    told = [f"{bert - row.accuracy:.2f} at {row.speedup:.1f}×" for row in found.itertuples()]
    return bert, "".join(told)


def sentence(rows: pd.DataFrame) -> str:
    """The verdict on the rows of `chosen`; "" if there are none."""
    if rows.empty:
        return ""
    if len(rows) == 1:
        row = rows.iloc[0]
        return (
            f"On {row.task} FastBERT needs {row.speedup:.1f} times fewer FLOPs than BERT and loses {row.lost:.2f} "
            f"points of accuracy ({row.low:.2f} to {row.high:.2f}, 95% interval), at the speed chosen on dev."
        )
    sure, most = (rows["without_loss"] == "yes").sum(), rows["speedup"]
    return (
        f"FastBERT needs {most.median():.1f} times fewer FLOPs than BERT in the median of {len(rows)} tasks "
        f"({most.min():.1f} to {most.max():.1f}), at the speed chosen on dev; on {sure} of them it surely loses less "
        f"than {TOLERATED:g} points of accuracy, on {(rows['low'] > TOLERATED).sum()} surely more."
    )


def headline(rows: pd.DataFrame) -> Table:
    """A line for each row of `chosen`."""
    texts = pd.DataFrame({name: rows[name].map(form.format) for name, form in FORMS.items()})
    return table(texts, COLUMNS, "At the speed chosen on dev")


def line(rows: pd.DataFrame, task: str) -> str:
    """The same of one task in a few words; "" if `rows` have none of it."""
    mine = rows[rows["task"] == task]
    return "".join(f"{row.lost:.2f} points lost at {row.speedup:.1f}×" for row in mine.itertuples())
