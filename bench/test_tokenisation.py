"""Texts to token ids, which must not become what everything waits for."""

import pytest

from bench.models import MAX_TOKENS
from fastbert_core.encoding import encode


@pytest.mark.benchmark(group="tokenisation")
def test_together(benchmark, subject):
    split = subject.split
    encoded = benchmark(encode, subject.tokenizer, split.texts, split.pairs, MAX_TOKENS)
    assert len(encoded) == len(split)
    benchmark.extra_info.update(
        task=subject.name,
        device="cpu",
        precision=None,
        what="tokenisation",
        samples=len(split),
        mean_tokens=float(encoded.lengths.mean()),
    )


@pytest.mark.benchmark(group="tokenisation")
def test_one_text(benchmark, singles):
    one = singles.split.take([0])
    encoded = benchmark(encode, singles.tokenizer, one.texts, one.pairs, MAX_TOKENS)
    benchmark.extra_info.update(
        task=singles.name,
        device="cpu",
        precision=None,
        what="tokenisation of one text",
        samples=1,
        mean_tokens=float(encoded.lengths.mean()),
    )
