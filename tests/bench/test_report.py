import csv
import json

import pytest

from bench import models, report, scale, tables
from bench.clock import clocked
from bench.load.__main__ import main as load
from bench.rivals.__main__ import main as rivals
from bench.test_stations import compacting
from fastbert_core.errors import InputError
from reproductions.columns import TABLES, key_of
from reproductions.tables import read_or_empty
from tests.core.small import assert_agrees

MACHINE = {
    "cpu": {"brand_raw": "Some CPU"},
    "processor": "x86_64",
    "threads": 2,
    "gpu": None,
    "torch": "2.13.0",
    "git_sha": "0123456789" * 4,
    "git_dirty": "no",
    "date": "2026-01-02T03:04:05+00:00",
    "capabilities": json.dumps({"avx2": True, "amx_bf16": False}),
}


@pytest.fixture(autouse=True)
def root(tmp_path, monkeypatch):
    """Where the tables are written."""
    monkeypatch.setattr(tables, "ROOT", tmp_path)


def way(speed, layers, seconds, macs=None, **more):
    """10 samples that execute `layers` layers of 100 MACs, `seconds` for the layers and one for the embedding."""
    found = {"speed": speed, "mean_layers": layers, "macs": macs or 1000 * layers}
    return found | {"seconds": seconds + 1, "embedding_seconds": 1.0} | more


def timed(*ways, mode="latency", batch=1, **changes):
    found = {
        "task": "book-review",
        "device": "cpu",
        "precision": "fp32",
        "mode": mode,
        "batch": batch,
        "samples": 10,
        "tokenisation_seconds": 3.0,
        "ways": list(ways),
    }
    return {"extra_info": found | changes}


def report_of(*benchmarks):
    return {"benchmarks": list(benchmarks), "machine_info": MACHINE}


def rows_of(*benchmarks):
    return report.efficiency_rows(report_of(*benchmarks))


def stored(name):
    return read_or_empty(tables.ROOT / "bench", name)


def test_efficiency_is_measured_over_flops_speedup():
    base, fast = rows_of(timed(way(0.0, 12, 24.0), way(0.5, 3, 8.0), way(None, 12, 20.0), fixed_cost_us=900.0))
    assert (base["speed"], base["efficiency"], base["overhead_at_speed_0"]) == (0.0, 1.0, 1.2)
    assert (fast["flops_speedup"], fast["measured_speedup"], fast["efficiency"]) == (4.0, 3.0, 0.75)
    assert (fast["overhead_at_speed_0"], fast["fixed_cost_us"]) == (None, 900.0)
    # With a second of embedding and three of tokenisation: 28 over 12 seconds.
    assert fast["efficiency_end_to_end"] == pytest.approx(28 / 12 / 4)
    assert fast["samples_per_second"] == pytest.approx(10 / 12)


def test_a_row_says_where_it_was_measured():
    assert tables.measured(MACHINE) == {
        "machine": "Some CPU; 2 threads; avx2; torch 2.13.0",
        "git_sha": "0123456789" * 4,
        "git_dirty": "no",
        "date": "2026-01-02T03:04:05+00:00",
    }


def test_rows_are_sorted_and_groups_kept_apart():
    ways = [way(0.5, 6, 6.0), way(0.0, 12, 12.0), way(None, 12, 10.0)]
    other = {"extra_info": {"task": "book-review", "samples": 10}}  # a benchmark of another kind
    benchmarks = [timed(*ways, mode="throughput", batch=batch) for batch in (256, 32)]
    found = [(row["batch"], row["speed"]) for row in rows_of(benchmarks[0], other, benchmarks[1])]
    assert found == [(32, 0.0), (32, 0.5), (256, 0.0), (256, 0.5)]


@pytest.mark.parametrize(
    "ways",
    [
        [way(0.0, 12, 1.0)],
        [way(0.5, 6, 1.0), way(None, 12, 1.0)],
        [way(None, 12, 1.0)],
    ],
)
def test_a_group_without_its_references_is_refused(ways):
    with pytest.raises(InputError, match="book-review, cpu, fp32, latency, 1: found no speed 0 or no plain encoder"):
        rows_of(timed(*ways))


def test_the_command_writes_the_table(tmp_path):
    ways = [way(0.0, 12, 24.0), way(0.5, 3, 8.0), way(None, 12, 20.0)]
    path = tmp_path / "report.json"
    path.write_text(json.dumps(report_of(timed(*ways))))
    assert report.main([str(path)]) == 0
    with open(tmp_path / "bench" / "efficiency.csv", newline="") as file:
        rows = list(csv.DictReader(file))
    assert tuple(rows[0]) == tuple(TABLES["efficiency"])
    assert [row["overhead_at_speed_0"] for row in rows] == ["1.200", ""]

    path.write_text(json.dumps(report_of(timed(*ways, task="smoke"))))
    assert report.main([str(path)]) == 0
    assert (tmp_path / "smoke" / "bench" / "efficiency.csv").is_file()


@pytest.mark.parametrize("content", [None, "nothing", "{}", "[]", "[" * 100_000, '{"benchmarks": 3}'])
def test_what_is_no_report_is_refused(tmp_path, capsys, content):
    path = tmp_path / "report.json"
    if content is not None:
        path.write_text(content)
    assert report.main([str(path)]) == 2
    assert "report.json: not a report of pytest-benchmark" in capsys.readouterr().err


def stations(engine, speed):
    found = timed()["extra_info"]
    spent = [["layer", 1, 4.0], ["layer", 2, 2.0], ["regrouping and the rest", None, 1.0]]
    del found["ways"]
    return {"extra_info": found | {"way": engine, "speed": speed, "stations": spent}}


def test_stations_have_their_share_of_the_whole():
    rows = report.station_rows(report_of(stations("pooled", 0.5)))
    assert [(row["station"], row["layer"], row["seconds"], row["share"]) for row in rows] == [
        ("tokenisation", None, 3.0, 0.3),
        ("layer", 1, 4.0, 0.4),
        ("layer", 2, 2.0, 0.2),
        ("regrouping and the rest", None, 1.0, 0.1),
    ]


def test_the_roofline_takes_each_at_its_best_batch():
    ceiling = {"extra_info": {"task": "book-review", "device": "cpu", "precision": "fp32", "matrix_gflops": 100.0}}
    rates = [
        timed(way(0.0, 12, engine, macs=10**12), way(None, 12, plain, macs=10**12), mode="throughput", batch=batch)
        for batch, engine, plain in ((32, 40.0, 25.0), (256, 50.0, 30.0))
    ]
    rates.append(timed(way(0.0, 12, 1.0, macs=10**12)))  # one at a time is no throughput
    (row,) = report.roofline_rows(report_of(ceiling, *rates))
    assert (row["engine_gflops"], row["engine_share"]) == (50.0, 0.5)
    assert (row["dense_gflops"], row["dense_share"]) == (80.0, 0.8)


@pytest.mark.parametrize("measured", [(), (0.0,), (None,)])
def test_a_rate_that_was_not_measured_makes_no_row_of_the_roofline(measured):
    """As in `tox -e bench -- -k roofline`; another place, where all was measured, has its row."""
    ceilings = [
        {"extra_info": {"task": "book-review", "device": "cpu", "precision": precision, "matrix_gflops": 100.0}}
        for precision in ("fp32", "bf16")
    ]
    whole = timed(way(0.0, 12, 40.0), way(None, 12, 25.0), mode="throughput", batch=32, precision="bf16")
    part = timed(*(way(speed, 12, 30.0) for speed in measured), mode="throughput", batch=32)
    rows = report.roofline_rows(report_of(*ceilings, whole, part))
    assert [row["precision"] for row in rows] == ["bf16"]


def test_agreement_names_the_sample_that_lies_farthest_from_the_speed():
    said = {"same_label": 0.999, "differing": 2, "unexcused": 0, "differing_distances": [1e-7, 3e-6]}
    whole = {"extra_info": {name: value for name, value in timed()["extra_info"].items() if name != "ways"}}
    whole["extra_info"] |= said | {"speed": 0.3, "samples": 7600}
    rows = report.agreement_rows(report_of(timed(way(0.5, 6, 1.0, **said), way(None, 12, 1.0)), whole))
    found = [(row["speed"], row["samples"], row["same_label_percent"], row["farthest"]) for row in rows]
    assert found == [(0.5, 10, 99.9, 3e-6), (0.3, 7600, 99.9, 3e-6)]


def test_a_rate_is_over_the_works_own_seconds_or_the_median_and_what_came_once_before_has_its_own():
    about = {"task": "dbpedia", "device": "cpu", "precision": "fp32", "samples": 100, "mean_tokens": 64.0}
    works = [
        {"what": "tracing"},
        {"what": "self-distillation", "seconds": 0.5, "before": {"frozen pass": 20.0}},
    ]
    rows = report.rate_rows(report_of(*({"extra_info": about | work, "stats": {"median": 50.0}} for work in works)))
    rates = {row["what"]: row["samples_per_second"] for row in rows}
    assert rates == {"tracing": 2.0, "self-distillation": 200.0, "frozen pass": 5.0}


def test_rules_stand_beside_entropy():
    rules = [{"rule": "entropy", "seconds": 2.0}, {"rule": "gate", "seconds": 2.5}]
    rows = report.rule_rows(report_of(timed(rules=rules, speed=0.25, mean_layers=6.0, batch=32)))
    assert [(row["rule"], row["samples_per_second"], row["over_entropy"]) for row in rows] == [
        ("entropy", 5.0, 1.0),
        ("gate", 4.0, 0.8),
    ]
    assert {(row["speed"], row["mean_layers"], row["batch"]) for row in rows} == {(0.25, 6.0, 32)}


def test_memory_is_peak_over_peak():
    found = {"texts": 1000, "peak_mib": 660.0, "few_texts": 10, "few_peak_mib": 600.0}
    for peak in (700.0, 660.0):
        measured = report_of({"extra_info": found | {"peak_mib": peak}})
        (row,) = report.memory_rows(measured)
        tables.write("memory", [row | tables.measured(MACHINE)], smoke=False)
    assert stored("memory")["ratio"].tolist() == [1.1]  # the later one took the place of the first


def written(name, *rows):
    """The table's key, but for the machine, after these rows were written, each by itself; the rest is made up."""
    for row in rows:
        numbers = {column: 0.5 for column, about in TABLES[name].items() if about.type == "number"}
        counts = {column: 1 for column in ("samples", "differing", "unexcused") if column in TABLES[name]}
        empty = {column: None for column, about in TABLES[name].items() if about.optional}
        tables.write(name, [empty | numbers | counts | tables.measured(MACHINE) | row], smoke=False)
    key = [column for column in key_of(name) if column != "machine"]
    return list(stored(name)[key].itertuples(index=False, name=None))


def test_rows_of_other_tasks_and_devices_stay():
    places = [("dbpedia", "cpu"), ("book-review", "cuda"), ("book-review", "cpu")]
    rows = [{"task": task, "device": device, "precision": "fp32", "matrix_gflops": 1.0} for task, device in places]
    written("roofline", *rows, rows[-1] | {"matrix_gflops": 2.0})
    found = stored("roofline")[["task", "device", "matrix_gflops"]].itertuples(index=False, name=None)
    assert list(found) == [("book-review", "cpu", 2.0), ("book-review", "cuda", 1.0), ("dbpedia", "cpu", 1.0)]


def test_a_new_run_replaces_old_speeds_and_leaves_what_it_did_not_measure():
    place = {"task": "dbpedia", "device": "cpu", "precision": "fp32"}
    at = tuple(place.values())

    latency = place | {"mode": "latency", "batch": 1, "mean_layers": 6.0}
    throughput = latency | {"mode": "throughput", "batch": 32}
    rows = [latency | {"speed": 0.3}, throughput | {"speed": 0.4}, latency | {"speed": 0.31}]
    assert written("efficiency", *rows) == [(*at, "latency", 1, 0.31), (*at, "throughput", 32, 0.4)]

    rows = [place | {"batch": batch, "speed": speed} for batch, speed in ((1, 0.3), (32, 0.4), (1, 0.31))]
    rows[-1]["samples"] = 9
    assert written("agreement", *rows) == [(*at, 1, 0.31, 9), (*at, 32, 0.4, 1)]

    ways = [("pooled", 0.3, 1), ("compacting", 0.3, 1), ("pooled", 0.31, 2)]
    rows = [place | {"engine": way, "speed": speed, "station": "layer", "layer": at} for way, speed, at in ways]
    assert written("stations", *rows) == [(*at, "compacting", 0.3, "layer", 1), (*at, "pooled", 0.31, "layer", 2)]


def test_a_new_run_leaves_the_rows_of_other_classes_of_machines():
    place = {"task": "dbpedia", "device": "cpu", "precision": "fp32"}
    avx2 = tables.measured(MACHINE)["machine"]
    others = [
        avx2.replace("avx2", "amx_bf16"),
        avx2.replace("avx2", "avx2; A GPU"),
        "Another; 8 threads; avx2; torch 2",
    ]
    machines = enumerate([avx2, *others], start=1)
    written("roofline", *(place | {"machine": machine, "matrix_gflops": rate} for rate, machine in machines))
    found = stored("roofline").set_index("matrix_gflops")["machine"].to_dict()
    assert found == {2: others[0], 3: others[1], 4: others[2]}  # the last is of the first one's class


def test_work_without_a_precision_is_replaced_too():
    works = [("fp32", "tracing"), (None, "tokenisation"), (None, "tokenisation")]
    rows = [{"task": "dbpedia", "device": "cpu", "precision": p, "what": what, "mean_tokens": 9.0} for p, what in works]
    found = [("dbpedia", "cpu", "fp32", "tracing"), ("dbpedia", "cpu", "", "tokenisation")]
    assert written("rates", *rows) == found


def test_a_task_has_the_rivals_of_one_run_alone():
    runs = [("dbpedia", "onnxruntime"), ("book-review", "onnxruntime"), ("dbpedia", "transformers")]
    more = {"precision": "fp32", "batch": 32, "ours_precision": "fp32", "ours_batch": 32}
    found = written("rivals", *({"task": task, "rival": rival} | more for task, rival in runs))
    assert [row[:2] for row in found] == [("book-review", "onnxruntime"), ("dbpedia", "transformers")]


def test_every_table_says_what_its_rows_replace():
    assert tables.REPLACED_TOGETHER.keys() == {name for name, columns in TABLES.items() if "machine" in columns}
    for name, columns in tables.REPLACED_TOGETHER.items():
        assert {*columns} <= {*key_of(name)}


def test_compacting_answers_as_the_trace_says():
    subject = models.load(models.SMOKE)
    for reduction in (1, 4):
        speed = subject.speed(reduction)
        found = compacting(subject.model, subject.encoded, subject.tokenizer.pad_token_id, speed, 7)
        assert_agrees(subject.trace, found, speed)


def test_the_clock_tells_parts_and_layers_apart():
    subject = models.load(models.SMOKE)
    with clocked(subject.model, "embed", "run_layer") as spent:
        compacting(subject.model, subject.encoded, subject.tokenizer.pad_token_id, 0.0, 32)
    assert set(spent) == {("embed", None), *(("run_layer", layer) for layer in range(1, 13))}
    assert min(spent.values()) > 0
    assert "embed" not in vars(subject.model)


@pytest.mark.parametrize(("seconds", "complaint"), [("NaN", "found NaN, expected numbers"), ("1.0", "not a report")])
def test_a_report_without_sound_numbers_is_refused_by_name_and_leaves_no_table(tmp_path, capsys, seconds, complaint):
    text = json.dumps(report_of(timed(way(0.0, 12, 24.0), way(None, 12, 20.0))))
    path = tmp_path / "report.json"
    path.write_text(text.replace("21.0", seconds))  # the plain encoder's, a second of which is embedding
    assert report.main([str(path)]) == 2
    assert capsys.readouterr().err.startswith(f"error: {path}: {complaint}")
    assert [file.name for file in tmp_path.rglob("*")] == ["report.json"]


@pytest.mark.parametrize(
    ("name", "begin", "words"),
    [("rivals", rivals, [models.SMOKE]), ("load", load, ["--quick"]), ("scaling", scale.main, ["--smoke"])],
)
def test_a_table_in_the_way_is_refused_before_anything_is_measured(name, begin, words, tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr(models, "load", None)
    monkeypatch.setattr(scale, "_training", None)
    path = tmp_path / "smoke" / "bench" / f"{name}.csv"
    path.parent.mkdir(parents=True)
    path.write_text("task\n")
    assert begin(words) == 2
    assert f"{name}.csv, line 1: column " in capsys.readouterr().err
