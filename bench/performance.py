"""`python -m bench.performance`: docs/performance.md, the page on seconds, from the tables of results/bench."""

import sys
from collections import defaultdict
from collections.abc import Sequence
from functools import partial
from pathlib import Path

from bench import tables
from bench.tables import MEASURED, REPLACED_TOGETHER
from fastbert_core.errors import InputError
from fastbert_core.files import atomic_write
from reproductions.arguments import ArgumentParser, exit_code
from reproductions.store import printed
from reproductions.table2 import TOLERATED_LOSS

PAGE = Path(__file__).parent.parent / "docs" / "performance.md"
Row = dict[str, str]
STATIONS = ("tokenisation", "embedding", "mask", "layer", "classifier", "regrouping and the rest", "all")

INTRODUCTION = """# Seconds

FastBERT's FLOPs fall when samples leave early; this page shows how far the seconds follow. `tox -e bench` and
`tox -e bench-rivals` measure, `python -m bench.performance` writes the page; on an idle machine, with trained models
and texts of the test set. *Efficiency* is measured speedup over FLOPs speedup, both against the same engine at speed 0,
where every student runs; FLOPs are true MACs of the real tokens. The plain encoder and all speeds of a row are timed at
once, in turns of about half a second or less, since a machine's pace may drift by more than what is to be seen.
Columns: [results](../results/README.md).

![Measured against FLOPs speedup](../plots/figures/bench/efficiency.png)
"""
ENGINE = """## How the engine keeps up

Samples enter longest first and every layer handles them in the order in which they come, so that those that wait for a
layer are of like length and nothing is sorted twice. Who leaves makes room: survivors are copied once, straight into
the next layer's batch, which runs when it is full, the deepest first. Lengths are rounded up to 8 tokens, so there are
few shapes. A batch holds no more padded tokens than stay in the caches of a CPU, whatever batch size is asked for; one
that spans many lengths is cut where that saves more padding than a batch more costs. A classifier computes one query,
the one of [CLS], with keys and values folded into two small products.
"""


def page() -> str:
    """The page as Markdown. Raises InputError where a table is not in order or efficiency.csv is missing."""
    found = {name: printed(tables.read(name), name).to_dict("records") for name in REPLACED_TOGETHER}
    if not found["efficiency"]:
        raise InputError(f"{tables.folder(smoke=False)}: found no efficiency.csv, expected one (tox -e bench)")
    parts = [
        INTRODUCTION,
        _measured(found),
        "## Efficiency\n",
        _table(
            "task device precision mode batch speed texts layers FLOPs measured efficiency end-to-end overhead "
            "samples/s",
            [_efficiency(row) for row in found["efficiency"]],
        ),
        "*end-to-end*: the efficiency with tokenisation and embedding. *overhead*: speed 0 over the plain encoder in "
        "the same batches. Two things draw efficiency away from 1. At batch 1 a layer reads all its weights for a text "
        "of any length, so that seconds do not follow the tokens. In throughput, of the few hundred texts that are "
        "timed only some tens reach the deep layers, too few for full batches of like length.\n",
        _fixed_cost(found["efficiency"]),
        ENGINE,
    ]
    if found["stations"]:
        parts += ["## Where the time goes\n", *_stations(found["stations"])]
    if found["roofline"]:
        parts += [
            "## Against the machine's ceiling\n",
            "GFLOP/s, two for each multiply-accumulate: plain matrix products of the encoder's shapes at 2048 tokens, "
            "and what the layers of the plain encoder and of the engine reach at speed 0, attention, norms and all.\n",
            _table(
                "task device precision matrix encoder share engine share",
                _figures(found["roofline"]),
            ),
        ]
    if found["rates"]:
        parts += [
            "## Other work\n",
            "*self-distillation*: an epoch of the students. On a CPU their inputs and soft labels come from a "
            "*frozen pass* through backbone and teacher, made once for all epochs and not part of it; on a GPU every "
            "batch makes that pass, and it is.\n",
            _table(
                "task device precision what texts tokens samples/s",
                _figures(found["rates"]),
            ),
        ]
    if found["agreement"]:
        parts += [
            "## The engine says what the trace says\n",
            "*differing*: samples that leave elsewhere or with another label than the fp32 trace says; *unexcused*: "
            "those of them that are not within rounding of the speed; *farthest*: how far the worst of them is.\n",
            _table(
                "task device precision batch speed texts same-label differing unexcused farthest",
                _figures(found["agreement"]),
            ),
        ]
    for row in found["memory"]:
        parts.append(
            f"Memory: {row['texts']} short texts that stream through the smoke model take {row['peak_mib']} MiB at the "
            f"peak, {row['few_texts']} take {row['few_peak_mib']}: {row['ratio']} times.\n"
        )
    if found["rivals"]:
        parts += [
            "## Rivals\n",
            "The same texts and, but for DistilBERT, the same weights (quantised in int8), from token ids to labels; "
            "our speed is the one that table 2 chooses on dev.\n",
            _best_dense(found["rivals"]),
            _table(
                "task rival precision batch texts samples/s accuracy our-precision our-batch ours/s our-accuracy ratio",
                _figures(found["rivals"]),
            ),
        ]
    return "\n".join(parts).rstrip() + "\n"


def _measured(found: dict[str, list[Row]]) -> str:
    """Which tables were measured where, when, by which code."""
    tables_at = defaultdict(list)
    for name, rows in found.items():
        for place in dict.fromkeys(tuple(row[column] for column in MEASURED) for row in rows):
            tables_at[place].append(name)
    lines = []
    for (machine, sha, dirty, date), names in sorted(tables_at.items()):
        changed = ", with changes" if dirty == "yes" else ""
        lines.append(f"- {', '.join(names)}: {machine}; commit {sha[:7] or 'unknown'}{changed}; {date}\n")
    return "Measured:\n\n" + "".join(lines)


def _figures(rows: list[Row]) -> list[list[str]]:
    return [[value for name, value in row.items() if name not in MEASURED] for row in rows]


def _best_dense(rows: list[Row]) -> str:
    """For each task, the fastest model without exits whose accuracy is at most TOLERATED_LOSS points below ours."""
    lines = []
    for task in dict.fromkeys(row["task"] for row in rows):
        rivals = [
            row
            for row in rows
            if row["task"] == task
            and not row["rival"].startswith("fastbert==")
            and float(row["accuracy"]) >= float(row["ours_accuracy"]) - TOLERATED_LOSS
        ]
        if rivals:
            best = max(rivals, key=lambda row: float(row["samples_per_second"]))
            lead = float(best["ours_accuracy"]) - float(best["accuracy"])
            lines.append(
                f"- {task}: {best['ours_over_rival']} times the samples a second of the fastest model below without "
                f"exits that is not more than {TOLERATED_LOSS} points less accurate: {best['rival']}, "
                f"{best['precision']}, batch {best['batch']}. Of these {best['samples']} texts ours has "
                f"{best['ours_accuracy']}% right, it {best['accuracy']}%: ours is {abs(lead):.2f} points "
                f"{'more' if lead >= 0 else '**less**'} accurate.\n"
            )
    return "".join(lines)


def _efficiency(row: Row) -> list[str]:
    names = "task device precision mode batch speed samples mean_layers flops_speedup measured_speedup efficiency"
    more = "efficiency_end_to_end overhead_at_speed_0 samples_per_second"
    return [row[name] for name in f"{names} {more}".split()]


def _fixed_cost(rows: list[Row]) -> str:
    fixed = {
        f"{row['task']} on {row['device']} in {row['precision']}: {row['fixed_cost_us']} µs"
        for row in rows
        if row["fixed_cost_us"]
    }
    return (
        f"What an executed layer costs at batch 1 however few its MACs, seen with a text of one token: "
        f"{'; '.join(sorted(fixed))}.\n"
        if fixed
        else ""
    )


def _stations(rows: list[Row]) -> list[str]:
    """A table for each model and place: milliseconds by engine and speed, of all stations and of each layer."""
    groups = defaultdict(list)
    for row in rows:
        groups[row["task"], row["device"], row["precision"]].append(row)
    parts = []
    for place, mine in groups.items():
        columns = list(dict.fromkeys((row["engine"], row["speed"]) for row in mine))
        seconds = defaultdict(float)
        for row in mine:
            way = row["engine"], row["speed"]
            seconds[(row["station"], ""), way] += float(row["seconds"])
            if row["layer"]:
                seconds[(row["station"], row["layer"]), way] += float(row["seconds"])
            seconds[("all", ""), way] += float(row["seconds"])
        whole = [(station, "") for station in STATIONS if any(key == (station, "") for key, _ in seconds)]
        single = sorted({key for key, _ in seconds if key[0] == "layer" and key[1]}, key=lambda key: int(key[1]))
        lines = [
            [f"{station} {layer}".strip(), *(f"{1000 * seconds[(station, layer), way]:.0f}" for way in columns)]
            for station, layer in (*whole, *single)
        ]
        parts += [
            f"{', '.join(place)}: milliseconds. *compacting* is what one would write first: a batch of 32 whose "
            "samples leave one after the other; *pooled* is the engine.\n",
            _table(["station", *(f"{engine}, speed {speed}" for engine, speed in columns)], lines),
        ]
    return parts


def _table(heads: str | list[str], rows: list[list[str]]) -> str:
    heads = heads.split() if isinstance(heads, str) else heads
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines) + "\n"


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the page; returns the exit code."""
    return exit_code(partial(_write, arguments))


def _write(arguments: Sequence[str] | None) -> int:
    ArgumentParser(prog="python -m bench.performance", description=__doc__).parse_args(arguments)
    text = page()
    with atomic_write(PAGE) as file:
        file.write(text.encode())
    print(PAGE)
    return 0


if __name__ == "__main__":
    sys.exit(main())
