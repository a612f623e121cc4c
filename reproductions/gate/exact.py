"""The exact tier's files: everything committed that follows from traces or arithmetic, made again to the same bytes."""

import shutil
import tempfile
from collections.abc import Iterator, Sequence
from pathlib import Path

from fastbert_core.errors import InputError
from reproductions import columns, flops
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
        yield from _profile(place, results_dir / profile, again, docs)
        if docs is not None or (results_dir / "paper").is_dir():
            flops.write_paper(again)
            for name in PAPER:
                kept = results_dir / "paper" / name
                yield same_files(Place("exact", "", ""), f"paper/{name}", kept, again / "paper" / name)
        if docs is not None:
            readme = results_dir / "README.md"
            (again / "README.md").write_text(columns.with_columns(readme.read_text(encoding="utf-8")), "utf-8")
            (again / "expectations.md").write_text(page.page(claims), "utf-8")
            for kept in (readme, docs / "expectations.md"):
                yield same_files(Place("exact", "", ""), f"{kept.parent.name}/{kept.name}", kept, again / kept.name)


def _profile(place: Place, folder: Path, again: Path, docs: Path | None) -> Iterator[Finding]:
    """What `measure` makes of the folder's traces, beside what stands there."""
    questions = again / "questions.md" if docs is not None and place.profile == "standard" else None
    made = again / "measured"
    try:
        for name in (name for name in UNMEASURED if table_path(folder, name).is_file()):
            write_table(made, name, read_table(folder, name))
        if sums_path(folder).parent.is_dir():
            shutil.copytree(sums_path(folder).parent, sums_path(made).parent)
        measure(made, questions)
    except InputError as error:
        yield identical(place, "measured from the traces", "everything", str(error).replace(str(made), str(folder)))
        return
    names = {path.name for side in (folder, made) for path in side.glob("[!.]*") if path.is_file()}
    for name in sorted(names.difference(PAPER if place.profile == "paper" else ())):
        yield same_files(place, name, folder / name, made / name)
    if questions:
        yield same_files(place, "docs/questions.md", docs / "questions.md", questions)
