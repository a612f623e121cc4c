import numpy as np
import pytest

from fastbert_core.flops import EncoderShape, dense_true_macs, true_macs
from reproductions.columns import TABLES
from reproductions.true_macs import hidden_cost
from tests.factories import BERT, make_task, make_trace


def test_a_row_for_each_run_and_speed():
    traces = make_task(samples=50, seeds=(7, 8)) + make_task("dbpedia", samples=40, classes=14)
    table = hidden_cost(traces)
    assert {*table.columns} == {*TABLES["true_macs"]}
    assert table[["task", "seed", "speed"]].values.tolist() == [
        [task, seed, speed]
        for task, seeds in (("book-review", (7, 8)), ("dbpedia", (7,)))
        for seed in seeds
        for speed in (0.1, 0.5, 0.8)
    ]
    assert table.groupby("run_id").size().tolist() == [3, 3, 3]


def test_counts_by_hand():
    trace = make_trace(samples=60, classes=3)
    row = hidden_cost([trace]).query("speed == 0.5").iloc[0]
    shape = EncoderShape(**BERT)
    left = [int(np.flatnonzero([*(u[:-1] < 0.5), True])[0]) + 1 for u in trace.uncertainties]
    lengths = trace.tokens.tolist()
    executed = sum(true_macs(shape, layer, length, 3) for layer, length in zip(left, lengths, strict=True))
    dense = sum(dense_true_macs(shape, length, 3) for length in lengths)
    assert row["true_mmacs"] == pytest.approx(executed / 60 / 1e6)
    assert row["dense_true_mmacs"] == pytest.approx(dense / 60 / 1e6)
    assert row["true_speedup"] == pytest.approx(dense / executed)
    assert row["dense_padded_mmacs"] == dense_true_macs(shape, 128, 3) / 1e6
    assert row["mean_tokens"] == pytest.approx(sum(lengths) / 60)
    assert row["padded_percent"] == pytest.approx(100 - 100 * sum(lengths) / 60 / 128)
    assert row["mean_layers"] == pytest.approx(sum(left) / 60)


def test_length_and_exit_layer_matter_together():
    """The same exits and the same lengths, paired otherwise, cost otherwise: a histogram of exits will not do."""
    trace = make_trace(samples=200)
    order = np.argsort(trace.uncertainties.min(axis=1))
    costs = []
    for tokens in (np.sort(trace.tokens), np.sort(trace.tokens)[::-1]):
        lengths = np.empty_like(tokens)
        lengths[order] = tokens
        paired = type(trace)(trace.probabilities, trace.labels, lengths, trace.metadata)
        costs.append(hidden_cost([paired]).query("speed == 0.5").iloc[0])
    assert costs[0]["speedup"] == costs[1]["speedup"]
    assert costs[0]["true_speedup"] < costs[1]["true_speedup"]
