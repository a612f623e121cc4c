"""Texts to token ids, which must not become what everything waits for."""

import pytest

from bench.measure import rate
from fastbert_core.encoding import encode


@pytest.mark.benchmark(group="tokenisation")
def test_together(benchmark, subject):
    split = subject.split
    encoded = benchmark(encode, subject.tokenizer, split.texts, split.pairs, subject.max_tokens)
    assert len(encoded) == len(split)
    benchmark.extra_info.update(rate(subject, "tokenisation", encoded))


@pytest.mark.benchmark(group="tokenisation")
def test_one_text(benchmark, singles):
    one = singles.split.take([0])
    encoded = benchmark(encode, singles.tokenizer, one.texts, one.pairs, singles.max_tokens)
    benchmark.extra_info.update(rate(singles, "tokenisation of one text", encoded))
