"""The page as a whole, filled into page.html: what the profiles say, seconds, what is missing, where it comes from."""

import json
from dataclasses import dataclass
from pathlib import Path

from jinja2 import Environment, PackageLoader, StrictUndefined
from markupsafe import Markup

from fastbert_core.errors import InputError
from plots.gallery import checked_table
from plots.report.cells import Notes, Table, table
from plots.report.profile import Profile, profile_part
from plots.style import METHODS
from reproductions.columns import TABLES
from reproductions.names import BENCH
from reproductions.speeds import PAPER_SPEEDS, TOLERATED_LOSS
from reproductions.tables import printed

TIMED = "standard"  # the profile whose models are timed
WHERE = ["machine", "git_sha", "date"]  # of a bench's table, what becomes a footnote
COLORS = {"measured": "FastBERT", "good": "FastBERT without self-distillation", "bad": "DistilBERT"}


@dataclass(frozen=True)
class Report:
    """html: the page; shown: a line on each profile and on what its traces do not allow; broken: a line on each thing
    that cannot be shown, because a file is missing or not in order"""

    html: str
    shown: list[str]
    broken: list[str]


def build(results_dir: Path, profiles: list[str]) -> Report:
    """The report on the folders `profiles` of `results_dir`; equal results give the same bytes."""
    bench = results_dir / BENCH
    timed = seconds(bench)
    parts = [profile_part(results_dir / name, timed if name == TIMED else {}) for name in profiles]
    notes = Notes()
    tables, unread = _bench(bench, notes)
    broken = [f"{', '.join(names)}: {why}" for part in parts for why, names in part.broken.items()] + unread
    stored = [part for part in parts if part.stored]
    data = {"paperSpeeds": PAPER_SPEEDS, "tolerated": TOLERATED_LOSS}
    data |= {"colors": {name: look.color for name, look in METHODS.items()}}
    colors = {name: METHODS[method].color for name, method in COLORS.items()}
    environment = Environment(
        loader=PackageLoader("plots.report", ""),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    html = environment.get_template("page.html").render(
        profiles=stored,
        seconds=tables,
        seconds_notes=notes,
        broken=broken,
        absent=[line for part in stored for line in _absent(part)],
        colors=colors,
        data=_embedded(data | {"sliders": {part.name: part.sliders for part in parts if part.sliders}}),
    )
    return Report(html, [line for part in parts for line in _lines(part)], broken)


def _embedded(data: dict) -> Markup:
    """JSON that cannot end the script element that holds it."""
    text = json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False)
    return Markup(text.replace("<", "\\u003c"))


def _absent(part: Profile) -> list[str]:
    return [f"{part.name}: not drawn: {', '.join(names)} ({reason})" for reason, names in part.absent.items()]


def _lines(part: Profile) -> list[str]:
    """For the terminal: what the part holds, and what no trace allows."""
    if not part.stored:
        return [f"{part.name}: nothing is stored"]
    tasks, sliders = ", ".join(task.name for task in part.tasks), sum(map(len, part.sliders.values()))
    return [f"{part.name}: tasks: {tasks or 'none'}; curves under sliders: {sliders}", *_absent(part)]


def seconds(folder: Path) -> dict[str, list[dict]]:
    """By task the speedups in seconds that were measured at its smallest batch of several texts, in order.

    Nothing where none was; a table that is not in order is told where it is shown.
    """
    try:
        rows = checked_table(folder, "efficiency", {})
    except InputError:
        return {}
    rows = rows[(rows["mode"] == "throughput") & (rows["precision"] == "fp32") & (rows["speed"] > 0)]
    shown = ["flops_speedup", "measured_speedup", "batch", "device"]
    return {
        task: mine[mine["batch"] == mine["batch"].min()].sort_values("flops_speedup")[shown].to_dict("records")
        for task, mine in rows.groupby("task")
    }


def _bench(folder: Path, notes: Notes) -> tuple[list[Table], list[str]]:
    """The tables of seconds, and lines on those that are not in order."""
    tables, broken = [], []
    for path in sorted(folder.glob("*.csv")):
        try:
            tables.append(bench_table(path, notes))
        except InputError as problem:
            broken.append(f"table {path.stem}: {problem}")
    return tables, broken


def bench_table(path: Path, notes: Notes) -> Table:
    """A bench table as it stands, with footnotes on where it was measured.

    Raises InputError if it has no rows or is not in order, and if no table has its name.
    """
    name = path.stem
    if name not in TABLES:
        raise InputError(f"{path}: found no table of that name, expected one that columns.csv describes")
    rows = printed(checked_table(path.parent, name, {}), name)
    columns = {column.replace("_", " "): f"{{{column}}}" for column in rows.columns.drop(WHERE)}
    where = ["; ".join(filter(None, row)) for row in rows[WHERE].itertuples(index=False)]
    return table(rows, columns, f"Seconds: {name}", [[notes[text]] if text else [] for text in where])
