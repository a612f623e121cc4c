"""What the machine's matrix products reach on the encoder's own shapes: the ceiling of everything else."""

import statistics
import time

import pytest
import torch

TOKENS, REPEATS = 2048, 20


@pytest.mark.benchmark(group="roofline")
def test_matrix_rate(benchmark, engine, subject):
    """GFLOP/s of the feed-forward layer's two products, hidden -> intermediate -> hidden, without bias; the median."""
    config, device = engine.model.backbone.config, engine.model.device
    up = torch.randn(config.intermediate_size, config.hidden_size, device=device, dtype=engine.model.dtype)
    down, x = up.t().contiguous(), torch.randn(TOKENS, config.hidden_size, device=device, dtype=engine.model.dtype)
    seconds = []

    @torch.inference_mode()
    def products():
        start = time.perf_counter()
        y = (x @ up.t()) @ down.t()
        y[0, 0].item()  # waits for a GPU
        seconds.append(time.perf_counter() - start)

    benchmark.pedantic(products, rounds=REPEATS, warmup_rounds=3)
    flops = 4 * TOKENS * config.hidden_size * config.intermediate_size
    benchmark.extra_info.update(
        task=subject.name,
        device=device.type,
        precision=engine.precision,
        matrix_gflops=flops / statistics.median(seconds[-REPEATS:]) / 1e9,
    )
