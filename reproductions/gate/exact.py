"""The exact tier's files: everything committed that follows from traces or arithmetic, made again to the same bytes."""

import os
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastbert_core.errors import InputError
from reproductions import checkout, flops, pages
from reproductions.gate import page
from reproductions.gate.expectations import Expectation
from reproductions.gate.finding import Finding, Place, identical
from reproductions.gate.same import same_files
from reproductions.measure import measure
from reproductions.store import read_table, table_path, write_table
from reproductions.sums import sums_path

PAPER = ("table1.csv",)  # of no profile
UNMEASURED = ("runs", "padding")  # tables that no trace gives: held against their schema and form alone


def files(results_dir: Path, profile: str, docs: Path | None, claims: Sequence[Expectation]) -> Iterator[Finding]:
    """A finding for each file of `results_dir`'s `profile` and paper/, and for each generated page.

    docs: the folder of the pages that go with the committed results, None if these are others; then paper/ is held
    against today's count only where it stands. claims: what the page of expectations shows.
    Raises InputError if there is no folder of the profile.
    """
    place = Place("exact", "", profile)
    if not (results_dir / profile).is_dir():
        raise InputError(f"{results_dir / profile}: found no such folder, expected the results of profile {profile}")
    with tempfile.TemporaryDirectory() as temporary:
        again = Path(temporary)
        yield from _profile(place, results_dir / profile, again)
        if docs is not None or (results_dir / "paper").is_dir():
            flops.write_paper(again)
            for name in PAPER:
                kept = results_dir / "paper" / name
                yield same_files(Place("exact", "", ""), f"paper/{name}", kept, again / "paper" / name)
        if docs is not None:
            (again / "expectations.md").write_text(page.page(claims), "utf-8")
            yield same_files(*_named(docs / "expectations.md"), again / "expectations.md")
            for kept in pages.pages():
                try:
                    (again / "page.md").write_text(pages.made(kept), "utf-8")
                    yield same_files(*_named(kept), again / "page.md")
                except InputError as error:
                    yield identical(*_named(kept)[:2], "made from the tables", str(error))


def _named(page: Path) -> tuple[Place, str, Path]:
    return Place("exact", "", ""), os.path.relpath(page, checkout.ROOT), page


def _profile(place: Place, folder: Path, again: Path) -> Iterator[Finding]:
    """What `measure` makes of the folder's traces, beside what stands there."""
    made = again / "measured"
    try:
        for name in (name for name in UNMEASURED if table_path(folder, name).is_file()):
            write_table(made, name, read_table(folder, name))
        if sums_path(folder).parent.is_dir():
            shutil.copytree(sums_path(folder).parent, sums_path(made).parent)
        measure(made)
    except InputError as error:
        yield identical(place, "measured from the traces", "everything", str(error).replace(str(made), str(folder)))
        return
    names = {path.name for side in (folder, made) for path in side.glob("[!.]*") if path.is_file()}
    for name in sorted(names.difference(PAPER if place.profile == "paper" else ())):
        yield same_files(place, name, folder / name, made / name)
