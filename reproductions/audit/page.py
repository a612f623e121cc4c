"""The audit as a page to read, `docs/audit.md`."""

from collections.abc import Iterable, Iterator, Sequence

import pandas as pd

from reproductions.audit import misprints
from reproductions.audit.check import DEEPEST, DENSE, EXECUTED
from reproductions.audit.tables import CLASSIFIER, TRANSFORMER

FORMS = {"mflops": "{:g}M", "speedup": "{:.2f}x", "accuracy": "{:.2f}%", "layers": "{:.3f} layers"}

PAGE = """\
# An audit of the paper's own numbers

Written by `python -m reproductions flops --publish` from the reported numbers in `reproductions/paper/`; do not edit.
It runs no model and reads no data: it holds the paper's numbers against one another and against the FLOPs that follow
from the architecture. FLOPs are in the paper's unit. Each of the {checks} checks is a row of `results/paper/audit.csv`;
{failed} fail, at {places} printed numbers.

## Is Yelp.P's 52783M a misprint?

Yes. Table 3 prints 52783M and 4.12x for Yelp.P at speed 0.2. A FastBERT from which no sample ever leaves early takes
{deepest:.2f}M, so 52783M cannot be reached; against BERT's {dense:.2f}M it would be {wrong:.2f}x. The other numbers say
what it should be: {leave}. The suite uses {right:.0f}M; the printed digits with a decimal point, 5278.3M, fit as well.

## What does not add up

{failures}

Remarks, made by hand:

- Table 1 prints its parts to one decimal, some truncated and some rounded. 603.0 is neither, and the total, 1809.9, is
  the sum neither of the printed parts nor of the right ones.
- Nothing tells which of 94.67% (table 3) and 94.59% (figure 3) is right.
- DistilBERT's 5428M looks like 5482M with two digits exchanged; its 4.01x was computed from 5428M.
- The English DistilBERT rows count no classifier, yet are held against a BERT with one. Their 2.00x, 4.00x and 12.00x
  are also the plain ratios of layers.
- Figure 3 draws Yelp.P at speed 0.03 where it draws speed 0.05, accuracy included.
- Figure 5's samples run more layers than table 2 pays for at speeds 0.8 and 0.5. At 0.3 the misfit is small.
- Figure 7 agrees with the README in every accuracy and in two of five FLOPs: it may be another run. "Six times" fits
  no number at speed 0.5.

## What holds

BERT's and FastBERT's rows truncate FLOPs and speedup, so a printed 2087M stands for 2087M up to 2088M; DistilBERT's
rows round both. One Transformer layer takes {layer:.2f}M, an executed layer of FastBERT with its classifier
{executed:.2f}M, BERT with its teacher {dense:.2f}M; DistilBERT n × {layer:.2f}M, in the Chinese rows with a classifier
of {classifier:.2f}M. All other FLOPs and speedups of tables 2 and 3 agree with this.

{holds}

The authors' README gives mean FLOPs to the unit. They are whole numbers of executed layers over the test set, within
0.005 of a layer in thousands, which confirms the unit:

{readme}
"""


def page(checks: pd.DataFrame) -> str:
    """The audit in Markdown, from the frame that `reproductions.audit.audit` returns."""
    found = misprints(checks)
    yelp = found.query("source == 'table 3' and misprinted == 'mflops'").iloc[0]
    readme = checks.query("source == 'README' and check == 'whole layers'")
    held = checks.groupby(["source", "check"], sort=False)["holds"].agg(["sum", "size"]).reset_index()
    return PAGE.format(
        checks=len(checks),
        failed=(~checks["holds"]).sum(),
        places=len(found.drop_duplicates(["source", "task", "model", "setting", "quantity"])),
        deepest=DEEPEST,
        dense=DENSE,
        wrong=DENSE / yelp["printed"],
        leave=yelp["arithmetic"].split("; ")[-1],
        right=yelp["corrected"],
        failures=_markdown(("where", "wrong", "printed", "should be", "why"), failures(found)),
        layer=TRANSFORMER,
        executed=EXECUTED,
        classifier=CLASSIFIER,
        holds=_markdown(("where", "check", "holds", "of"), held.itertuples(index=False)),
        readme=_markdown(("task", "", "FLOPs"), readme[["task", "setting", "arithmetic"]].itertuples(index=False)),
    )


def failures(found: pd.DataFrame) -> Iterator[tuple[str, ...]]:
    """The misprints in words: where, what is wrong, printed, what it should be, why. Equal ones of several tasks share
    a row."""
    same = ["source", "model", "setting", "misprinted", "quantity", "printed", "corrected", "arithmetic"]
    for key, part in found.groupby(same, sort=False, dropna=False):
        source, model, setting, misprinted, quantity, printed, right, why = key
        where = ", ".join(filter(None, (source, model, setting, *part["task"])))
        form = FORMS[quantity]
        yield where, misprinted, form.format(printed), "" if pd.isna(right) else form.format(right), why


def _markdown(header: Sequence[str], rows: Iterable[Iterable]) -> str:
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(map(str, line)) + " |" for line in lines)
