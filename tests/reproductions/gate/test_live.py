"""The live tier: two runs compared to the bit, and what is read off the first."""

import shutil
from pathlib import Path

from reproductions.gate import live
from reproductions.store import find_traces, read_table, table_path, write_table
from tests.reproductions.gate.tamper import replace


def test_two_runs_are_compared_to_the_bit(copy, tmp_path):
    second = Path(shutil.copytree(copy, tmp_path / "second"))
    runs = read_table(second, "runs")
    write_table(second, "runs", runs.assign(date="2031-01-01", command="python", wall_seconds=1.5))
    found = live.repeated(copy, second, "dbpedia")
    assert all(finding.ok for finding in found)
    assert len(found) == len([path for path in copy.rglob("*") if path.is_file()])
    path = find_traces(second)[-1]
    content = bytearray(path.read_bytes())
    content[-1] ^= 1
    path.write_bytes(content)
    replace(table_path(second, "luha"), ",student,", ",teacher,")
    write_table(second, "runs", runs.assign(threads=4))
    table_path(second, "table3").unlink()
    failed = [finding.metric for finding in live.repeated(copy, second, "dbpedia") if not finding.ok]
    assert failed[:2] == ["luha.csv, line 2, classifier", "runs.csv, line 2, threads"]
    assert failed[2:] == ["table3.csv", f"traces/book-review/{path.name}"]


def test_live_measures_are_those_of_tables_2_and_3(copy):
    tables = {name: read_table(copy, name).set_index(["model", "setting"]) for name in ("table2", "table3")}
    numbers = live.measures(copy, "book-review")
    for name, row in (("table2", ("FastBERT", "speed=0.5")), ("table3", ("FastBERT with reverse KL", "speed=0.7"))):
        for measure in ("accuracy", "mean_layers", "mflops"):
            found = numbers["live", "book-review", "smoke", f"{', '.join(row)}: {measure}"]
            assert float(found) == tables[name].loc[row, measure]
    assert len(numbers) == 3 * sum(map(len, tables.values()))
    assert live.measures(copy, "dbpedia") == {}
    assert live.measures(copy / "nowhere", "dbpedia") == {}


def test_a_run_that_ends_badly_says_why(tmp_path):
    finding = live._run("imdb", tmp_path / "first")
    assert not finding.ok
    assert finding.found.startswith("exit code 2, error: unknown task 'imdb'")
