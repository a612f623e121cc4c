"""Every bench runs, untimed, on a few texts of the smoke model; that of memory, which needs thousands, is left out."""

import pytest

from tests.project import ROOT


def test_the_benches_run(tmp_path, monkeypatch, capsys):
    """By a pytest within this one, whose process has loaded torch."""
    monkeypatch.setenv("FASTBERT_RUNS", str(tmp_path))
    monkeypatch.chdir(ROOT)
    few = ("--bench-rows", "48", "--bench-singles", "4", "--ignore", "bench/test_memory.py")
    code = pytest.main(["bench", "-q", "-rs", "-p", "no:cacheprovider", "-p", "tests.conftest", *few])
    said = capsys.readouterr().out
    assert code == 0, said
    assert "THE SMOKE MODEL" in said
    assert "SKIPPED" not in said
