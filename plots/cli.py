"""The command line: `python -m plots` draws every figure again from results/."""

import os
import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.arguments import EXIT_FAILED, ArgumentParser, command_line
from reproductions.checkout import committed, is_committed
from reproductions.names import BENCH, FOREIGN, PROFILES, PUBLISHED


@command_line
def main(arguments: Sequence[str] | None = None) -> int:
    """Draw what can be drawn, name what cannot. Exit code 0, 1 if something is broken, 2 for bad arguments.

    What is committed has its figures in plots/figures/<profile, or bench>/, and those of the tasks of more/ in
    plots/figures/<profile>-more/; all else has them in figures/ in its results folder.
    """
    parser = ArgumentParser(prog="python -m plots", description="Every figure again, from stored results.")
    parser.add_argument("--results-dir", type=Path, help="holds one folder for each profile (default: the committed)")
    parser.add_argument("--profile", choices=PROFILES, help="default: every profile that has a folder there, and bench")
    options = parser.parse_args(arguments)
    results_dir = options.results_dir or committed("results")
    names = [options.profile] if options.profile else [*PROFILES, BENCH]
    wanted = [place for name in names for place in ((name,), (name, "more"))]
    if not options.profile:
        wanted += [(FOREIGN, folder.name) for folder in sorted(results_dir.glob(f"{FOREIGN}/[!.]*"))]
    places = [place for place in wanted if os.path.isdir(results_dir.joinpath(*place))]
    if not places:
        parser.error(f"{results_dir}: found no folder of results, expected {' or '.join(names)}")
    broken = [_report(results_dir, place) for place in places]
    return EXIT_FAILED if any(broken) else 0


def _report(results_dir: Path, place: tuple[str, ...]) -> bool:
    """Draw the figures of one folder and print what became of them; True if something is broken."""
    from plots.gallery import draw_folder  # matplotlib with it, which is not needed for help

    results = results_dir.joinpath(*place)
    ours = place[0] in (*PUBLISHED, BENCH) and is_committed(results, "results", *place)
    folder = committed("plots", "figures", "-".join(place)) if ours else results / "figures"
    drawn = draw_folder(results, folder)
    print(f"{results}: {len(drawn.files)} files in {folder}")
    for reason, names in drawn.absent.items():
        print(f"  not drawn: {', '.join(names)} ({reason})")
    for reason, names in drawn.broken.items():
        print(f"error: not drawn: {', '.join(names)}: {reason}", file=sys.stderr)
    return bool(drawn.broken)
