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
def folder(model, tokenizer, tmp_path):
    """Where both are saved."""
    model.save_pretrained(tmp_path)
    tokenizer.save_pretrained(tmp_path)
    return tmp_path


@pytest.fixture
def engine(model, tokenizer):
    from fastbert_core.engine import Engine

    return Engine(model, tokenizer)
