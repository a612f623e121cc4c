"""The load bench: its arrivals, its ways of serving, and the whole command on the smoke model."""

import time
from concurrent.futures import Future

import numpy as np
import pandas as pd
import pytest

from bench import tables
from bench.load.__main__ import main
from bench.load.arrivals import BURST, arrivals, observe
from bench.load.ways import WAYS, server
from fastbert_core.engine import Engine
from fastbert_core.errors import QueueFull
from plots.load import draw
from reproductions.bench_blocks import BLOCKS
from reproductions.machines import class_of
from reproductions.tables import check_table
from tests.core.small import LAYERS, make_model, make_tokenizer, texts_of

STEPS = (0.25, 0.9, 2.5)  # fewer than the command has, below the ceiling and above


@pytest.mark.parametrize("kind", ["poisson", "bursty"])
def test_arrivals_come_at_the_rate_that_is_asked(kind):
    times = arrivals(kind, 50, 200, seed=3)
    assert len(times) == pytest.approx(10_000, rel=0.1)
    assert (np.diff(times) >= 0).all()
    assert times[0] >= 0
    assert times[-1] < 200
    assert np.array_equal(times, arrivals(kind, 50, 200, seed=3))
    together = len(times) / len(np.unique(times))
    assert together == pytest.approx(1 if kind == "poisson" else BURST, rel=0.1)
    # Of Poisson arrivals the count in a second varies as its mean does; bursts make it larger.
    counts = np.bincount(times.astype(int), minlength=200)
    assert (counts.var() / counts.mean() < 2) == (kind == "poisson")


def test_a_step_without_a_request_is_none():
    assert len(arrivals("poisson", 0.001, 0.1, seed=1)) == 1


def test_latency_counts_from_when_a_request_was_due():
    """The client is held up by the first request; the second one's wait is counted all the same."""
    answered = []

    def submit(text):
        if not answered:
            time.sleep(0.2)
        answered.append(text)
        if text == "c":
            raise QueueFull("full")
        future = Future()
        future.set_result(type("Answer", (), {"exit_layer": 3}))
        return future

    seen = observe(submit, ["a", "b", "c"], np.array([0.0, 0.01, 0.02]))
    assert answered == ["a", "b", "c"]
    assert (seen.refused, seen.exits) == (1, [3, 3])
    assert min(seen.latencies) > 0.15
    assert max(seen.late) > 0.15
    assert seen.seconds >= 0.2
    assert seen.client_seconds < 0.2  # of CPU; it slept


@pytest.mark.parametrize("way", WAYS)
def test_every_way_answers_all(way):
    texts = texts_of(40)
    with Engine(make_model().eval(), make_tokenizer()) as engine:
        submit, close = server(way, engine, 0.5)
        exits = [future.result(60).exit_layer for future in [submit(text) for text in texts]]
        close()
        expected = [LAYERS] * 40 if way == "dense" else [each.exit_layer for each in engine.predict(texts, 0.5)]
    assert exits == expected


def test_the_command_runs(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(tables, "ROOT", tmp_path)
    monkeypatch.setattr("bench.load.__main__.STEPS", STEPS)
    assert main(["--quick", "--precision", "fp32"]) == 0
    said = capsys.readouterr().out
    assert "THE SMOKE MODEL" in said
    table = pd.read_csv(said.splitlines()[-1])
    assert set(table["way"]) == set(WAYS)
    assert set(table["arrivals"]) == {"poisson", "bursty"}
    dense = table[table["way"] == "dense"]
    assert len(dense) == 2 * sum(step < 1 for step in STEPS)
    assert (table["p50_ms"] <= table["p95_ms"]).all()
    assert (table["p95_ms"] <= table["p99_ms"]).all()
    assert (table["refused"] == 0).all()
    for _, mine in table.groupby("arrivals"):
        of_dense = mine[mine["way"] == "dense"]["p99_ms"]
        assert mine["objective_ms"].nunique() == 1
        assert of_dense.min() == pytest.approx(mine["objective_ms"].iloc[0], abs=0.1)
    check_table("load", table.astype(object), "load.csv")
    assert draw({"load": table}).axes
    gpu = "Intel(R) Xeon(R) Processor; 8 threads; amx_bf16; NVIDIA H200; torch 2.11.0+cu130"
    alone = table.assign(machine=gpu, device="cuda")
    both = pd.concat([alone.assign(device="cpu", rate=10 * alone["rate"]), alone])
    by_device = BLOCKS["load"]({"load": both}).splitlines()
    mine = [line for line in by_device if "cuda" in line]
    assert mine == [line for line in BLOCKS["load"]({"load": alone}).splitlines() if "cuda" in line]
    assert len([line for line in by_device if ", cpu, " in line]) == len(mine) == 2 * len(WAYS)


@pytest.mark.parametrize("words", [["--seconds", "0"], ["--seconds", "x"], ["--precision", "int4"]])
def test_bad_options(words, capsys):
    with pytest.raises(SystemExit, match="2"):
        main(words)
    assert f"found '{words[1]}'" in (said := capsys.readouterr().err) or "invalid choice: 'int4'" in said


@pytest.mark.parametrize(
    ("machine", "expected"),
    [
        ("AMD EPYC; 2 threads; avx2; torch 2.13.0+cpu", "AVX2"),
        ("Intel(R) Xeon(R) Processor; 1 threads; amx_bf16; torch 2.13.0+cpu", "AMX"),
        ("x; 16 threads; avx512_bf16; NVIDIA H100; torch 2.13.0+cu130", "CUDA"),
        ("x; 16 threads; NVIDIA H100; torch 2.13.0+cu130", "CUDA"),
        ("arm; 8 threads; torch 2.13.0", "other"),
    ],
)
def test_classes_of_machines(machine, expected):
    assert class_of(machine) == expected
