"""`python -m bench.report JSON`: of a report of pytest-benchmark the tables of what `tox -e bench` times.

A row of efficiency.csv is one speed of a model on a device, in a precision and a batch size. Efficiency is measured
speedup over FLOPs speedup, both against the same engine at speed 0, where every student runs; FLOPs are true MACs of
the real tokens.
"""

import json
import sys
from collections import defaultdict
from pathlib import Path

import pandas as pd

from bench.models import SMOKE
from bench.tables import measured, write
from fastbert_core.arguments import ArgumentParser, command_line
from fastbert_core.errors import InputError
from reproductions.tables import check_table

KEY = ("task", "device", "precision", "mode", "batch")


def efficiency_rows(report: dict) -> list[dict]:
    """The rows of efficiency.csv, but for MEASURED, from a pytest-benchmark report, sorted by their key and speed.

    Seconds without tokenisation and embedding make `measured_speedup` and `efficiency`; with both,
    `efficiency_end_to_end` and `samples_per_second`. `overhead_at_speed_0`, in its row alone, is over the plain encoder
    in the same batches. Raises InputError if the ways lack speed 0 or the plain encoder.
    """
    rows = []
    timed = [found for found in _extra(report) if "ways" in found]
    for found in sorted(timed, key=lambda found: [found[name] for name in KEY]):
        speeds = sorted((way for way in found["ways"] if way["speed"] is not None), key=lambda way: way["speed"])
        plain = [way for way in found["ways"] if way["speed"] is None]
        if not speeds or speeds[0]["speed"] != 0 or len(plain) != 1:
            key = ", ".join(str(found[name]) for name in KEY)
            raise InputError(f"{key}: found no speed 0 or no plain encoder, expected both")
        rows += [{name: found[name] for name in KEY} | _row(way, speeds[0], plain[0], found) for way in speeds]
    return rows


def station_rows(report: dict) -> list[dict]:
    """The rows of stations.csv: seconds by station and layer, and their share of the whole, tokenisation included."""
    rows = []
    for found in _extra(report):
        if "stations" not in found:
            continue
        stations = [["tokenisation", None, found["tokenisation_seconds"]], *found["stations"]]
        whole = sum(seconds for _, _, seconds in stations)
        rows += [
            {name: found[name] for name in ("task", "device", "precision", "speed")}
            | {"engine": found["way"], "station": station, "layer": layer}
            | {"seconds": seconds, "share": seconds / whole}
            for station, layer, seconds in stations
        ]
    return rows


def roofline_rows(report: dict) -> list[dict]:
    """The rows of roofline.csv: GFLOP/s of matrix products, and of the layers of the plain encoder and the engine.

    Two for each multiply-accumulate; encoder and engine at speed 0, in the batch size that suits each best. A place
    where one of the three was not measured has no row.
    """
    rates, ceilings = defaultdict(dict), {}
    for found in _extra(report):
        place = tuple(found.get(name) for name in ("task", "device", "precision"))
        if "matrix_gflops" in found:
            ceilings[place] = found["matrix_gflops"]
        for way in found.get("ways", []):
            if found["mode"] == "throughput" and not way["speed"]:
                what, rate = "dense" if way["speed"] is None else "engine", 2 * way["macs"] / _layers(way) / 1e9
                rates[place][what] = max(rate, rates[place].get(what, rate))
    return [
        dict(zip(("task", "device", "precision"), place, strict=True))
        | {"matrix_gflops": ceiling}
        | {f"{what}_gflops": rate for what, rate in rates[place].items()}
        | {f"{what}_share": rate / ceiling for what, rate in rates[place].items()}
        for place, ceiling in ceilings.items()
        if rates[place].keys() == {"dense", "engine"}
    ]


def agreement_rows(report: dict) -> list[dict]:
    """The rows of agreement.csv: the engine beside the trace, at every speed timed and on all test texts."""
    rows = []
    for found in _extra(report):
        for way in (*found.get("ways", []), found):
            if "same_label" in way:
                rows.append(
                    {name: found[name] for name in ("task", "device", "precision", "batch", "samples")}
                    | {name: way[name] for name in ("speed", "differing", "unexcused")}
                    | {"same_label_percent": 100 * way["same_label"]}
                    | {"farthest": max(way["differing_distances"], default=None)}
                )
    return rows


def rate_rows(report: dict) -> list[dict]:
    """The rows of rates.csv: samples a second of training, tracing and tokenisation.

    `frozen pass` is the one pass that gives the students' inputs and soft labels for all epochs, and
    `self-distillation` an epoch of the students on its result.
    """
    rows = []
    for benchmark in report["benchmarks"]:
        found = benchmark["extra_info"]
        if "what" in found:
            works = {found["what"]: found.get("seconds") or benchmark["stats"]["median"]} | found.get("before", {})
            rows += [
                {name: found[name] for name in ("task", "device", "precision", "samples", "mean_tokens")}
                | {"what": what, "samples_per_second": found["samples"] / seconds}
                for what, seconds in works.items()
            ]
    return rows


def rule_rows(report: dict) -> list[dict]:
    """The rows of rule_rates.csv: samples a second with each exit rule, and over entropy's, at entropy's exits."""
    rows = []
    for found in _extra(report):
        fixed = {name: found[name] for name in ("task", "device", "precision", "batch") if name in found}
        for rule in (timed := found.get("rules", [])):
            rows.append(
                {**fixed, "rule": rule["rule"], "speed": found["speed"], "mean_layers": found["mean_layers"]}
                | {"samples": found["samples"], "samples_per_second": found["samples"] / rule["seconds"]}
                | {"over_entropy": timed[0]["seconds"] / rule["seconds"]}
            )
    return rows


def memory_rows(report: dict) -> list[dict]:
    """The row of memory.csv, if the memory was measured."""
    return [
        {name: found[name] for name in ("texts", "peak_mib", "few_texts", "few_peak_mib")}
        | {"ratio": found["peak_mib"] / found["few_peak_mib"]}
        for found in _extra(report)
        if "peak_mib" in found
    ]


ROWS = {
    "efficiency": efficiency_rows,
    "stations": station_rows,
    "roofline": roofline_rows,
    "agreement": agreement_rows,
    "rates": rate_rows,
    "rule_rates": rule_rows,
    "memory": memory_rows,
}


def _extra(report: dict) -> list[dict]:
    return [benchmark["extra_info"] for benchmark in report["benchmarks"]]


def _row(way: dict, base: dict, plain: dict, found: dict) -> dict:
    flops_speedup = base["macs"] / way["macs"]
    measured = _layers(base) / _layers(way)
    base_whole, whole = (found["tokenisation_seconds"] + each["seconds"] for each in (base, way))
    return {
        "speed": way["speed"],
        "mean_layers": way["mean_layers"],
        "flops_speedup": flops_speedup,
        "measured_speedup": measured,
        "efficiency": measured / flops_speedup,
        "efficiency_end_to_end": base_whole / whole / flops_speedup,
        "overhead_at_speed_0": _layers(base) / _layers(plain) if way is base else None,
        "fixed_cost_us": found.get("fixed_cost_us"),
        "samples_per_second": found["samples"] / whole,
        "samples": found["samples"],
    }


def _layers(way: dict) -> float:
    """Seconds without the embedding."""
    return way["seconds"] - way["embedding_seconds"]


@command_line
def main(arguments: list[str]) -> int:
    """The command line; returns the exit code."""
    parser = ArgumentParser(prog="python -m bench.report", description=__doc__.splitlines()[0])
    parser.add_argument("json", type=Path, help="what `pytest bench --benchmark-json` has written")
    tables = _tables(parser.parse_args(arguments).json)
    smoke = any(row.get("task") == SMOKE for rows in tables.values() for row in rows)
    for name, rows in tables.items():
        if rows:
            print(write(name, rows, smoke))
    return 0


def _tables(path: Path) -> dict[str, list[dict]]:
    """The rows of each table. Raises InputError, naming the file, if it is no report or one that lacks something."""
    try:
        report = json.loads(path.read_text(encoding="utf-8"), parse_constant=_no_number)
        where = measured(report["machine_info"])
        found = {name: [row | where for row in rows_of(report)] for name, rows_of in ROWS.items()}
        for name, rows in found.items():
            if rows:  # all are in order before any is written
                check_table(name, pd.DataFrame(rows, dtype=object), f"{name}.csv")
        return found
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    except (OSError, ValueError, LookupError, TypeError, AttributeError, ArithmeticError, RecursionError) as error:
        raise InputError(f"{path}: not a report of pytest-benchmark ({error!r})") from None


def _no_number(constant: str) -> float:
    raise InputError(f"found {constant}, expected numbers")


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
