"""The command that measures one worker against two, on little work: it writes a row for each, whatever the ratio."""

from reproductions.tables import read_table, table_path
from tests.scale.conftest import ROOT, command


def test_both_are_measured(cluster):
    table = table_path(ROOT / "results" / "smoke" / "bench", "scaling")
    table.unlink(missing_ok=True)
    done = command("-m", "bench.scale", "--smoke")
    assert done.code == 0, done.err
    rows = read_table(table.parent, "scaling")
    assert rows["what"].tolist() == ["predicting", "training"]
    assert done.out.strip().endswith("scaling.csv")
