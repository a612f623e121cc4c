"""Every exit by itself: the table's columns, by hand on a few samples."""

import numpy as np
import pytest

from reproductions.exits import exits
from tests.factories import make_trace


def small():
    """Five samples of two classes, all of class 0; its probability at three layers."""
    trace = make_trace(5, 2, layers=[1, 2, 3], encoder={**make_trace(1, 2).metadata["encoder"], "layers": 3})
    right = np.array([[0.9, 0.8, 0.95], [0.6, 0.7, 0.4], [0.3, 0.7, 0.6], [0.2, 0.3, 0.4], [0.45, 0.6, 0.2]])
    trace.probabilities[:] = np.stack([right, 1 - right], axis=-1)
    trace.labels[:] = 0
    return trace


def test_by_hand():
    found = exits([small()]).set_index("layer")
    np.testing.assert_allclose(found["accuracy"], [40, 80, 40])
    np.testing.assert_allclose(found["confidence"], 100 * np.array([3.55, 3.5, 3.55]) / 5, rtol=1e-6)
    # Right in the end are samples 1 and 3; layer 1 has the first of them, layers 1 and 2 both.
    np.testing.assert_allclose(found["wasteful"], [50, 100, 100])
    # Wrong in the end are 2, 4 and 5; layer 1 has 2, layers 1 and 2 also 5, nobody 4.
    np.testing.assert_allclose(found["destructive"], [100 / 3, 200 / 3, 200 / 3])
    np.testing.assert_allclose(found["fell"], [0, 0, 40])
    # Layer 1 is 0.9 and 0.6 sure where it is right, and 0.7, 0.8, 0.55 where it is wrong: 3 of 3 and 1 of 3 are less.
    assert found["failure_auroc"][1] == pytest.approx(4 / 6)


def test_seeds_are_averaged_and_models_without_exits_left_out():
    one, other = (make_trace(60, 3, "lcqmc", seed=seed) for seed in (7, 8))
    alone = [exits([trace]).set_index("layer") for trace in (one, other)]
    both = exits(
        [
            one,
            other,
            make_trace(
                60, 3, "lcqmc", training="distilbert-6", layers=[6], encoder={**one.metadata["encoder"], "layers": 6}
            ),
        ]
    )
    assert (both["seeds"] == "7;8").all()
    assert {*both["training"]} == {"self-distillation"}
    np.testing.assert_allclose(both["accuracy"], (alone[0]["accuracy"] + alone[1]["accuracy"]) / 2)
