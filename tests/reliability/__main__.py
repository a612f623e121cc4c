"""`python -m tests.reliability`: exit code 1 if anything was lost."""

import argparse
import sys
import tempfile
import time
from collections.abc import Callable, Sequence
from functools import partial
from pathlib import Path

from reproductions.arguments import ArgumentParser
from tests.reliability import report
from tests.reliability.rounds import (
    FULL_DISK,
    INTERRUPT,
    KILL,
    Reference,
    Skipped,
    campaign,
    folder_of_its_own,
    small_disk,
)
from tests.reliability.scenarios import company, damage, read_only
from tests.reliability.stations import STATIONS, planned, timed
from tests.reliability.world import World


def main(arguments: Sequence[str] | None = None) -> int:
    """Do to runs what --only names, say how it ended, write the report if one is wanted."""
    options = _parser().parse_args(arguments)
    if sys.platform != "linux":
        print("skipped: processes are watched in Linux's own ways")
        return 0
    started = time.monotonic()
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        reference = make_reference(folder)
        outcomes = {}
        for name, part in _parts(options).items():
            try:
                outcomes[name] = list(part(folder / name, reference))
            except Skipped as reason:
                outcomes[name] = str(reason)
            print(f"{report.TITLES[name]}: {report.summary(outcomes[name])}", flush=True)
    if options.report and options.only:
        print(f"{options.report} is left as it is: it tells of all parts")
    elif options.report:
        command = " ".join(["python -m tests.reliability", *sys.argv[1:]])
        report.write(options.report, command, outcomes, (time.monotonic() - started) / 60)
    return 1 if report.failures(outcomes) else 0


def make_reference(folder: Path) -> Reference:
    """Two uninterrupted runs, one as a user starts it and one as this suite does. They must not differ."""
    as_a_user, forked = World(folder / "reference"), World(folder / "timed")
    as_a_user.as_a_user()
    plan = planned(as_a_user)
    places = timed(forked, plan)
    if differences := forked.differences(as_a_user):
        raise RuntimeError(f"two uninterrupted runs differ: {', '.join(differences)}")
    return Reference(as_a_user, plan, places)


def _parts(options: argparse.Namespace) -> dict[str, Callable]:
    """What can be done to runs, by name: of a folder and a reference, its outcomes."""
    everywhere = 2 * len(STATIONS)

    def struck(make: Callable, strike: object, wanted: int) -> Callable:
        return lambda folder, reference: campaign(make, folder, reference, strike, wanted, options.seed)

    parts = {
        "kills": struck(folder_of_its_own, KILL, options.kills),
        "interrupts": struck(folder_of_its_own, INTERRUPT, everywhere),
        "full-disk": struck(small_disk, FULL_DISK, everywhere),
        "company": company,
        "read-only": read_only,
        "damage": partial(damage, seed=options.seed),
    }
    return {name: part for name, part in parts.items() if name in (options.only or parts)}


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m tests.reliability", description=__doc__)
    parser.add_argument("--kills", type=int, default=50, help="how many times SIGKILL strikes (default: 50)")
    parser.add_argument("--seed", type=int, default=7, help="of the random moments and places (default: 7)")
    parser.add_argument("--only", type=_names, help=f"of {','.join(report.TITLES)}; default: all")
    parser.add_argument("--report", type=Path, help="the page to write of all parts")
    return parser


def _names(text: str) -> list[str]:
    names = text.split(",")
    if unknown := [name for name in names if name not in report.TITLES]:
        raise argparse.ArgumentTypeError(f"found {', '.join(unknown)}, expected some of {', '.join(report.TITLES)}")
    return names


if __name__ == "__main__":
    sys.exit(main())
