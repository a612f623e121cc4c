"""`python -m tests.mutation`: exit code 1 if a mutant escapes, 2 if one proves nothing."""

import csv
import io
import os
import sys
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

from fastbert_core.files import atomic_write
from reproductions.arguments import ArgumentParser
from tests.mutation.mutants import Mutant, MutantError, caught_by, load

ROOT = Path(__file__).parents[2]
MUTANTS = Path(__file__).parent / "mutants.toml"


def main(arguments: Sequence[str] | None = None, root: Path = ROOT, mutants: Path = MUTANTS) -> int:
    """Run the tiers on the tree as it is, where they must pass, then each mutant's tier on the mutant."""
    options = _parser().parse_args(arguments)
    try:
        chosen = _chosen(load(mutants), options.names, options.first)
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            tiers = sorted({mutant.tier for mutant in chosen})
            for tier, failing in zip(tiers, pool.map(lambda tier: caught_by(root, tier), tiers), strict=True):
                if failing:
                    raise MutantError(f"{tier}: {failing} fails without any mutant")
            print(f"{len(tiers)} tiers pass on the tree as it is", flush=True)
            rows = []
            for mutant, caught in zip(
                chosen, pool.map(lambda mutant: caught_by(root, mutant.tier, mutant), chosen), strict=True
            ):
                rows.append((mutant.name, mutant.what, caught))
                print(f"{mutant.name}: {caught or 'ESCAPED'}", flush=True)
    except MutantError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    if options.report and (options.names or options.first):
        print(f"{options.report} is left as it is: it tells of all mutants")
    elif options.report:
        _write(options.report, rows)
    escaped = sum(not caught for *_, caught in rows)
    print(f"{len(rows)} mutants, {escaped} escaped")
    return 1 if escaped else 0


def _chosen(mutants: list[Mutant], names: Sequence[str], first: int | None) -> list[Mutant]:
    if unknown := set(names) - {mutant.name for mutant in mutants}:
        raise MutantError(f"found no mutant {', '.join(sorted(unknown))}")
    return [mutant for mutant in mutants if not names or mutant.name in names][:first]


def _write(path: Path, rows: list[tuple[str, str, str]]) -> None:
    text = io.StringIO(newline="")
    writer = csv.writer(text, lineterminator="\n")
    writer.writerow(("mutant", "what", "caught_by"))
    writer.writerows(rows)
    with atomic_write(path) as file:
        file.write(text.getvalue().encode())


def _parser() -> ArgumentParser:
    parser = ArgumentParser(prog="python -m tests.mutation", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help="of mutants.toml; default: all")
    parser.add_argument("--first", type=int, metavar="N", help="only the first N of them")
    parser.add_argument("--report", type=Path, help="the CSV to write of all mutants: mutant, what, caught_by")
    return parser


if __name__ == "__main__":
    sys.exit(main())
