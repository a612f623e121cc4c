"""The small model of tests.core.small, for every test of the engine."""

import pytest

from fastbert_core.engine import Engine
from tests.core.small import make_model, make_tokenizer


@pytest.fixture(scope="module")
def model():
    return make_model().eval()


@pytest.fixture(scope="module")
def tokenizer():
    return make_tokenizer()


@pytest.fixture
def engine(model, tokenizer):
    return Engine(model, tokenizer)
