"""What a reader of two minutes takes along: one sentence, and a row for each task."""

import pandas as pd

from plots.report.cells import Table, table
from reproductions.speeds import CHOSEN, TOLERATED_LOSS, at_chosen_speed

COLUMNS = {
    "task": "{task}",
    "FLOPs speedup": "{speedup}×",
    "points lost": "{loss}",
    "95% interval": "{loss_low} to {loss_high}",
    f"surely under {TOLERATED_LOSS:g}": "{without_loss}",
    "BERT %": "{bert}",
    "DistilBERT loses": "{distilbert}",
    "speed": "{speed}",
}
FORMS = dict.fromkeys(("bert", "loss", "loss_low", "loss_high"), "{:.2f}") | {"speedup": "{:.1f}"}
FORMS |= dict.fromkeys(("task", "without_loss", "speed", "distilbert"), "{}")


def chosen(table2: pd.DataFrame | None, comparisons: pd.DataFrame | None) -> pd.DataFrame:
    """The rows of `at_chosen_speed`, and beside them BERT and DistilBERT; none where one of the tables is missing."""
    if table2 is None or comparisons is None:
        return pd.DataFrame(columns=[*FORMS])
    rows = at_chosen_speed(table2, comparisons)
    beside = [_beside(table2[table2["task"] == task]) for task in rows["task"]]
    return rows.assign(
        speed=rows["setting"].str.removeprefix("speed=").str.removesuffix(CHOSEN).str.strip(),
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
            f"On {row.task} FastBERT needs {row.speedup:.1f} times fewer FLOPs than BERT and loses {row.loss:.2f} "
            f"points of accuracy ({row.loss_low:.2f} to {row.loss_high:.2f}, 95% interval), at the speed chosen on dev."
        )
    sure, most = (rows["without_loss"] == "yes").sum(), rows["speedup"]
    return (
        f"FastBERT needs {most.median():.1f} times fewer FLOPs than BERT in the median of {len(rows)} tasks "
        f"({most.min():.1f} to {most.max():.1f}), at the speed chosen on dev; on {sure} of them it surely loses less "
        f"than {TOLERATED_LOSS:g} points of accuracy, on {(rows['loss_low'] > TOLERATED_LOSS).sum()} surely more."
    )


def headline(rows: pd.DataFrame) -> Table:
    """A line for each row of `chosen`."""
    texts = pd.DataFrame({name: rows[name].map(form.format) for name, form in FORMS.items()})
    return table(texts, COLUMNS, "At the speed chosen on dev")


def line(rows: pd.DataFrame, task: str) -> str:
    """The same of one task in a few words; "" if `rows` have none of it."""
    mine = rows[rows["task"] == task]
    return "".join(f"{row.loss:.2f} points lost at {row.speedup:.1f}×" for row in mine.itertuples())
