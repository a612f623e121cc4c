"""A results folder in order, copies of it to tamper with, and the exact tier's verdict on them."""

import csv
import hashlib
import shutil
from pathlib import Path

import pytest

from reproductions import cli
from reproductions.gate import expectations, page
from reproductions.measure import measure
from reproductions.sums import sums_path
from tests.factories import make_trace, store


def list_sums(folder):
    """SHA256SUMS by other means than the suite's."""
    traces = folder / "traces"
    names = sorted(path.relative_to(traces).as_posix() for path in traces.glob("*/*.npz"))
    lines = [f"{hashlib.sha256((traces / name).read_bytes()).hexdigest()}  {name}\n" for name in names]
    sums_path(folder).write_text("".join(lines))


def make_small():
    """A few traces of one task: quick to measure."""
    trained = [make_trace(40, variant=variant) for variant in ("default", "labels", "reverse-kl")]
    epoch = make_trace(40, split="dev", epoch=3, stage="self-distillation")
    return [*trained, make_trace(40, split="dev"), epoch]


@pytest.fixture(scope="package")
def kept(tmp_path_factory):
    """A results folder in order: one small task of the smoke profile."""
    results = tmp_path_factory.mktemp("kept")
    folder = store(results / "smoke", make_small(), profile="smoke")
    measure(folder)
    list_sums(folder)
    return results


@pytest.fixture
def copy(kept, tmp_path):
    """A copy to tamper with: the profile's folder."""
    return Path(shutil.copytree(kept, tmp_path / "results")) / "smoke"


@pytest.fixture
def gate(tmp_path):
    """Runs the exact tier on a profile's folder: the exit code, and the failing rows of the report by metric."""

    def checked(folder, *options):
        report = tmp_path / "report.csv"
        arguments = ["--profile", "smoke", "--results-dir", str(folder.parent), "--report", str(report), *options]
        code = cli.main(["check", "--tier", "exact", *arguments])
        with open(report, encoding="utf-8", newline="") as file:
            rows = list(csv.DictReader(file))
        assert len(rows) > 20
        return code, {row["metric"]: row for row in rows if row["ok"] != "yes"}

    return checked


@pytest.fixture
def own(tmp_path, monkeypatch):
    """A copy of the expectations, and of their page, that the gate reads and updates."""
    path = tmp_path / "expectations.csv"
    shutil.copy(expectations.PATH, path)
    monkeypatch.setattr(expectations, "PATH", path)
    monkeypatch.setattr(page, "PAGE", tmp_path / "docs" / "expectations.md")
    return path
