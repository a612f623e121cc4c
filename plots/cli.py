"""The command line: `python -m plots` draws every figure again from results/."""

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.errors import one_line
from plots.gallery import draw_profile
from reproductions.schemas import PROFILES

EXIT_FAILED = 1  # bad arguments are argparse's own 2
RESULTS, FIGURES = Path("results"), Path("plots/figures")
COMMITTED = ("standard", "paper")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what can be drawn, name what cannot. Exit code 0, 1 if something is broken, 2 for bad arguments.

    The committed profiles' figures go to plots/figures/<profile>/, all others to figures/ in their results folder.
    """
    parser = argparse.ArgumentParser(prog="python -m plots", description="Every figure again, from stored results.")
    parser.add_argument("--results-dir", type=Path, default=RESULTS, help="holds one folder for each profile")
    parser.add_argument("--profile", choices=PROFILES, help="default: every profile that has a folder there")
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path need not be text in its encoding
    options = parser.parse_args(arguments)
    profiles = [options.profile] if options.profile else PROFILES
    folders = [folder for profile in profiles if os.path.isdir(folder := options.results_dir / profile)]
    if not folders:
        parser.error(f"{options.results_dir}: found no folder of results, expected {' or '.join(profiles)}")
    try:
        broken = [_report(folder) for folder in folders]
    except OSError as error:
        message = f"{error.filename or 'input or output'}: {error.strerror or error}"
        print(f"error: {one_line(message)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_FAILED if any(broken) else 0


def _report(results: Path) -> bool:
    """Draw the figures of one profile's folder and print what became of them; True if something is broken."""
    committed = results.parent == RESULTS and results.name in COMMITTED
    folder = FIGURES / results.name if committed else results / "figures"
    drawn = draw_profile(results, folder)
    print(f"{results}: {len(drawn.files)} files in {folder}")
    for reason, names in drawn.absent.items():
        print(f"  not drawn: {', '.join(names)} ({reason})")
    for reason, names in drawn.broken.items():
        print(f"error: not drawn: {', '.join(names)}: {reason}", file=sys.stderr)
    return bool(drawn.broken)
