"""The command line: `python -m plots.report` writes the report as one file, which needs no server and no network."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.arguments import EXIT_FAILED, ArgumentParser, command_line
from fastbert_core.files import atomic_write
from reproductions.checkout import committed
from reproductions.names import COMPARED_PROFILES, PROFILES

ORDER = [*COMPARED_PROFILES, *(profile for profile in PROFILES if profile not in COMPARED_PROFILES)]


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Show what can be shown, name what cannot. Exit code 0, 1 if something is broken, 2 for bad arguments."""
    parser = ArgumentParser(prog="python -m plots.report", description="Stored results as one HTML page.")
    parser.add_argument("--results-dir", type=Path, help="holds one folder for each profile (default: the committed)")
    parser.add_argument("--profile", choices=PROFILES, help="default: every profile that has a folder there")
    parser.add_argument("--output", type=Path, default=Path("report.html"), help="default: %(default)s")
    options = parser.parse_args(arguments)
    results_dir = options.results_dir or committed("results")
    profiles = [options.profile] if options.profile else ORDER
    found = [profile for profile in profiles if os.path.isdir(results_dir / profile)]
    if not found:
        parser.error(f"{results_dir}: found no folder of results, expected {' or '.join(profiles)}")
    from plots.report.page import build  # matplotlib with it, which is not needed for help

    report = build(results_dir, found)
    page = report.html.encode()
    with atomic_write(options.output) as file:
        file.write(page)
    print(f"{options.output}: {len(page) / 1e6:.1f} MB")
    for line in report.shown:
        print(f"  {line}")
    for line in report.broken:
        print(f"error: not shown: {line}", file=sys.stderr)
    return EXIT_FAILED if report.broken else 0
