"""The command line: `python -m plots` draws every figure again from results/."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.errors import one_line
from plots.gallery import draw_folder
from plots.registry import BENCH
from reproductions.arguments import ArgumentParser
from reproductions.profiles import COMPARED_PROFILES, PROFILES

EXIT_FAILED = 1
RESULTS, FIGURES = Path("results"), Path("plots/figures")


def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what can be drawn, name what cannot. Exit code 0, 1 if something is broken, 2 for bad arguments.

    What is committed has its figures in plots/figures/<profile, or bench>/, all else in figures/ in its results folder.
    """
    parser = ArgumentParser(prog="python -m plots", description="Every figure again, from stored results.")
    parser.add_argument("--results-dir", type=Path, default=RESULTS, help="holds one folder for each profile")
    parser.add_argument("--profile", choices=PROFILES, help="default: every profile that has a folder there, and bench")
    sys.stdout.reconfigure(errors="backslashreplace")  # as stderr: a path need not be text in its encoding
    options = parser.parse_args(arguments)
    names = [options.profile] if options.profile else [*PROFILES, BENCH]
    folders = [folder for name in names if os.path.isdir(folder := options.results_dir / name)]
    if not folders:
        parser.error(f"{options.results_dir}: found no folder of results, expected {' or '.join(names)}")
    try:
        broken = [_report(folder) for folder in folders]
    except OSError as error:
        message = f"{error.filename or 'input or output'}: {error.strerror or error}"
        print(f"error: {one_line(message)}", file=sys.stderr)
        return EXIT_FAILED
    return EXIT_FAILED if any(broken) else 0


def _report(results: Path) -> bool:
    """Draw the figures of one folder and print what became of them; True if something is broken."""
    committed = results.parent == RESULTS and results.name in (*COMPARED_PROFILES, BENCH)
    folder = FIGURES / results.name if committed else results / "figures"
    drawn = draw_folder(results, folder)
    print(f"{results}: {len(drawn.files)} files in {folder}")
    for reason, names in drawn.absent.items():
        print(f"  not drawn: {', '.join(names)} ({reason})")
    for reason, names in drawn.broken.items():
        print(f"error: not drawn: {', '.join(names)}: {reason}", file=sys.stderr)
    return bool(drawn.broken)
