"""What these tests share: tables whose intervals nobody looks at."""

import pytest

from reproductions import figure4_luha, statistics


@pytest.fixture(scope="module")
def few_draws():
    """Bootstraps and permutations of a hundred draws, where a test asks for tables and not for their intervals."""
    with pytest.MonkeyPatch.context() as patch:
        for module in (statistics, figure4_luha):
            patch.setattr(module, "RESAMPLES", 100)
        yield
