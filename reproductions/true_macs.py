"""What the paper's unit hides: padding, attention products, and that long texts may be the ones that leave late."""

from collections.abc import Sequence

import pandas as pd

from fastbert_core.flops import PAPER_TOKENS, dense_true_macs, true_macs
from fastbert_core.metrics import at_speed
from fastbert_core.trace import Trace
from reproductions.compare import select, tasks_of
from reproductions.speeds import PAPER_SPEEDS


def hidden_cost(traces: Sequence[Trace]) -> pd.DataFrame:
    """`true_macs.csv`: a row for each FastBERT test trace and each of the paper's speeds."""
    rows = [_row(trace, speed) for task in tasks_of(traces) for trace in select(traces, task) for speed in PAPER_SPEEDS]
    return pd.DataFrame(rows)


def _row(trace: Trace, speed: float) -> dict:
    shape, classes, tokens = trace.shape, len(trace.metadata["classes"]), trace.tokens
    outcome = at_speed(trace, speed)
    samples = len(tokens)
    executed = int(true_macs(shape, outcome.exit_layer, tokens, classes).sum()) / samples
    dense = int(dense_true_macs(shape, tokens, classes).sum()) / samples
    return {
        "task": trace.metadata["task"],
        "seed": trace.metadata["seed"],
        "speed": speed,
        "mean_tokens": tokens.mean(),
        "padded_percent": 100 * (1 - tokens.clip(max=PAPER_TOKENS).mean() / PAPER_TOKENS),
        "mean_layers": outcome.mean_layers,
        "speedup": outcome.speedup,
        "true_speedup": dense / executed,
        "true_mmacs": executed / 1e6,
        "dense_true_mmacs": dense / 1e6,
        "dense_padded_mmacs": dense_true_macs(shape, PAPER_TOKENS, classes) / 1e6,
        "run_id": trace.metadata["run_id"],
    }
