"""The small model of tests.core.small, for every test of the engine; the others need not wait for torch."""

import pytest


@pytest.fixture(scope="module")
def model():
    from tests.core.small import make_model

    return make_model().eval()


@pytest.fixture(scope="module")
def tokenizer():
    from tests.core.small import make_tokenizer

    return make_tokenizer()


@pytest.fixture
def engine(model, tokenizer):
    from fastbert_core.engine import Engine

    return Engine(model, tokenizer)
