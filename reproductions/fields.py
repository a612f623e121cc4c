"""What a column of a results CSV can be, and the columns that several tables have."""

import json
import re

import pandera.pandas as pa

from fastbert_core.tasks import SAFE_NAME

WHOLE = "Int64"


def text(about: str, pattern: str | None = None, one_of: tuple[str, ...] = (), optional: bool = False) -> pa.Column:
    checks = []
    if pattern:
        # Not pandera's own str_matches, which is content with a line end behind the text.
        matches = re.compile(pattern).fullmatch
        checks.append(pa.Check(lambda text: matches(text) is not None, element_wise=True, error=f"text like {pattern}"))
    if one_of:
        checks.append(pa.Check.isin(one_of, error=f"one of {', '.join(one_of)}"))
    return pa.Column(str, checks, nullable=optional, description=about)


def number(
    about: str, decimals: int, low: float | None = None, high: float | None = None, optional: bool = False
) -> pa.Column:
    return pa.Column(float, _bounds(low, high), nullable=optional, description=about, metadata={"decimals": decimals})


def whole(about: str, low: int = 0, high: int | None = None, optional: bool = False) -> pa.Column:
    return pa.Column(WHOLE, _bounds(low, high), nullable=optional, description=about)


def _bounds(low: float | None, high: float | None) -> list[pa.Check]:
    checks = []
    if low is not None:
        checks.append(pa.Check.ge(low, error=f"a number of at least {low:g}"))
    if high is not None:
        checks.append(pa.Check.le(high, error=f"a number of at most {high:g}"))
    return checks


def json_object(about: str) -> pa.Column:
    return pa.Column(str, pa.Check(_is_json_object, element_wise=True, error="a JSON object"), description=about)


def _is_json_object(value: str) -> bool:
    try:
        return isinstance(json.loads(value), dict)
    except (ValueError, RecursionError):
        return False


def schema(key: tuple[str, ...], columns: dict[str, pa.Column]) -> pa.DataFrameSchema:
    return pa.DataFrameSchema(columns, unique=list(key), strict=True, ordered=True, coerce=True)


def percent(about: str, optional: bool = False) -> pa.Column:
    return number(about, 2, 0, 100, optional)


def points(about: str) -> pa.Column:
    return number(about, 2, -100, 100, optional=True)


def probability(about: str) -> pa.Column:
    return number(about, 6, 0, 1, optional=True)


def date(about: str) -> pa.Column:
    return text(f"{about}, ISO 8601", r"\d{4}-\d\d-\d\d(T[\d:.]+(Z|[+-]\d\d:\d\d)?)?")


ID = r"\w[\w.-]*"
TASK = text("task", SAFE_NAME.pattern)
MODEL = text("model: BERT, DistilBERT or FastBERT, as the paper's tables name it")
SPEED = number("speed: a sample leaves at the first layer whose uncertainty lies below it", 2, 0, 1)
RUN_ID = text("the runs behind the row, as in runs.csv", rf"{ID}(;{ID})*")
GIT = {
    "git_sha": text("commit of the code at its start", "[0-9a-f]{40}", optional=True),
    "git_dirty": text("whether files differed from it", one_of=("yes", "no"), optional=True),
}
SEEDS = text("the seeds by number, joined by ; where several are averaged", r"\d+(;\d+)*")
COST = {
    "mean_layers": number("mean executed layers", 3, 1),
    "mflops": number("mean FLOPs of a sample, in millions, paper's unit", 3, 0),
    "speedup": number("FLOPs of our dense teacher over ours", 3, 0),
}
INTERVAL = {
    "accuracy_low": percent("lower end of the accuracy's interval"),
    "accuracy_high": percent("upper end of the accuracy's interval"),
}
SEED_RANGE = {
    "accuracy_min": percent("accuracy of the worst seed"),
    "accuracy_max": percent("accuracy of the best seed"),
}
REPORTED = {
    "reported_accuracy": percent("accuracy that the paper prints", optional=True),
    "reported_mflops": number("FLOPs that the paper prints, in millions", 1, 0, optional=True),
    "reported_speedup": number("speedup that the paper prints", 2, 0, optional=True),
}
