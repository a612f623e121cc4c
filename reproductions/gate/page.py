"""docs/expectations.md: what the gate expects, from the CSV that it reads. `python -m reproductions.gate.page`."""

import sys
from collections.abc import Sequence
from pathlib import Path

from fastbert_core.files import atomic_write
from reproductions.arguments import ArgumentParser
from reproductions.checkout import ROOT
from reproductions.gate.expectations import PATH, Expectation, read_expectations

PAGE = ROOT / "docs" / "expectations.md"
HEAD = """# What the gate expects

Generated from `reproductions/gate/expectations.csv`, which `python -m reproductions check` reads; do not edit. A claim
holds if what is found lies within the tolerance of what is expected. A number that is missing, or NaN, holds nothing.
`check --update --reason TEXT` puts what was found into the file, and the reason with it.

Where another file already is the expectation, none is repeated here:

- *exact*: every CSV of `results/standard/` follows from the committed traces, `results/paper/table1.csv` from
  arithmetic, the generated blocks of README, docs and `results/README.md` from the CSVs, and this page from its file:
  each is made again, and must have the same bytes. `padding.csv` and `runs.csv` follow from no
  trace: they must keep their schema. Each `run_id` stands in `runs.csv`; each run there names a commit without changes
  and has its test trace; the traces are the files that `traces/SHA256SUMS` lists, and no others.
- *live*: two runs of `python -m reproductions run TASK --profile smoke --seed 7 --precision fp32`, each from nothing
  and on one thread, leave the same bytes; date, command and duration in `runs.csv` aside. The other runs that the
  tolerances below rest on were made on one CPU, with sums taken in other orders: 1, 2 and 4 threads; ATen's default and
  AVX2 kernels; MKL as it is, and with `MKL_CBWR=COMPATIBLE`. Each left other bits. Those in bf16 tell what a change
  costs that the gate may notice: the claims are about fp32.
- *deep*: a task trained again from scratch, with the settings that its row of `runs.csv` names, compares with its
  committed rows of `table2.csv`: the 95% interval of the difference contains 0, for accuracies that of two proportions
  (Newcombe), for mean layers the bootstrap's over the samples of both sides.
"""
COLUMNS = ("task", "profile", "metric", "expected", "tolerance", "source", "reason", "updated")


def page(expectations: Sequence[Expectation]) -> str:
    """The page in Markdown: a table for each tier."""
    parts = [HEAD]
    for tier in dict.fromkeys(expectation.tier for expectation in expectations):
        lines = [COLUMNS, ["---"] * len(COLUMNS)]
        lines += [[_cell(getattr(e, column)) for column in COLUMNS] for e in expectations if e.tier == tier]
        parts.append(f"## {tier}\n\n" + "".join(f"| {' | '.join(line)} |\n" for line in lines))
    return "\n".join(parts)


def write_page(path: Path, expectations: Sequence[Expectation]) -> None:
    """Write the page to `path`."""
    with atomic_write(path) as file:
        file.write(page(expectations).encode())


def _cell(value: object) -> str:
    return str(value).replace("|", "\\|")


if __name__ == "__main__":
    ArgumentParser(prog="python -m reproductions.gate.page", description=__doc__).parse_args(sys.argv[1:])
    write_page(PAGE, read_expectations(PATH))
