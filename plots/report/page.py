"""The page as a whole: header, task navigation, every profile's part, what is missing, style and script."""

import json
from dataclasses import dataclass
from html import escape
from importlib.resources import files
from pathlib import Path
from string import Template

from fastbert_core.errors import InputError
from plots.report.bench import bench_html
from plots.report.profile import Profile, profile_part
from plots.report.sliders import PAPER_SPEEDS
from plots.style import GREY, METHODS, PALE


@dataclass(frozen=True)
class Report:
    """html: the page; shown: a line on each profile and on what its traces do not allow; broken: a line on each thing
    that cannot be shown, because a file is missing or not in order"""

    html: str
    shown: list[str]
    broken: list[str]


def build(results_dir: Path, profiles: list[str]) -> Report:
    """The report on the folders `profiles` of `results_dir`; equal results give the same bytes."""
    parts = [profile_part(results_dir / name) for name in profiles]
    seconds, unread = _bench(results_dir / "bench")
    broken = [f"{', '.join(names)}: {why}" for part in parts for why, names in part.broken.items()] + unread
    sliders = {name: models for part in parts for name, models in part.sliders.items()}
    data = {"paperSpeeds": PAPER_SPEEDS, "colors": {name: look.color for name, look in METHODS.items()}}
    html = Template(_asset("template.html")).substitute(
        css=_colors() + _asset("report.css"),
        script=_asset("report.js"),
        provenance="".join(map(_provenance, parts)),
        navigation="\n".join(_links(part) for part in parts if part.html),
        problems=_problems(broken, parts),
        profiles="\n".join(part.html for part in parts),
        seconds=seconds,
        data=_embedded(data | {"sliders": sliders}),
    )
    return Report(html, [line for part in parts for line in _lines(part)], broken)


def _asset(name: str) -> str:
    return files(__package__).joinpath(name).read_text(encoding="utf-8")


def _colors() -> str:
    colors = {"measured": METHODS["FastBERT"].color, "good": METHODS["FastBERT without self-distillation"].color}
    colors |= {"bad": METHODS["DistilBERT"].color, "grey": GREY, "pale": PALE}
    return f":root {{ {' '.join(f'--{name}: {color};' for name, color in colors.items())} }}\n"


def _embedded(data: dict) -> str:
    """JSON that cannot end the script element that holds it."""
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False).replace("<", "\\u003c")


def _provenance(part: Profile) -> str:
    text = escape(part.provenance)
    return f"<p><strong>{part.name}</strong>: {text}</p>\n" if text else ""


def _links(part: Profile) -> str:
    tasks = "".join(f'<li><a href="#{escape(f"{part.name}-{task}")}">{escape(task)}</a></li>' for task in part.tasks)
    return f'<ul><li><a href="#{part.name}"><strong>{part.name}</strong></a></li>{tasks}</ul>'


def _lines(part: Profile) -> list[str]:
    """For the terminal: what the part holds, and what no trace allows."""
    if not part.html:
        return [f"{part.name}: nothing is stored"]
    sliders = sum(map(len, part.sliders.values()))
    absent = [f"{part.name}: not drawn: {', '.join(names)} ({reason})" for reason, names in part.absent.items()]
    return [f"{part.name}: tasks: {', '.join(part.tasks) or 'none'}; curves under sliders: {sliders}", *absent]


def _problems(broken: list[str], parts: list[Profile]) -> str:
    """The list of what is not on the page: first what is broken, then what no trace allows."""
    items = [f"<li><strong>not shown</strong>: {escape(line)}</li>" for line in broken]
    for part in parts:
        items += [f"<li>{escape(line)}</li>" for line in _lines(part)[1:]]
    kind = "broken" if broken else ""
    heading = f'<section id="missing" class="{kind}"><h2>Not on this page</h2>'
    return f"{heading}<ul>{''.join(items)}</ul></section>" if items else ""


def _bench(folder: Path) -> tuple[str, list[str]]:
    """HTML of the tables of seconds, "" if there are none, and lines on those that are not in order."""
    tables, broken = [], []
    for path in sorted(folder.glob("*.csv")):
        try:
            tables.append(bench_html(path))
        except InputError as problem:
            broken.append(f"table {path.stem}: {problem}")
    if not tables:
        return "", broken
    return "\n".join(['<section id="seconds"><h2>Seconds</h2>', *tables, "</section>"]), broken
