"""Trainings beside FastBERT's own: the table against plain loops."""

import numpy as np
import pandas as pd
import pytest

from fastbert_core.exit_rules import exit_layers, get_rule
from reproductions.statistics import holm, mcnemar
from reproductions.trainings import LAYERS, trainings
from tests.factories import BERT, make_trace

CALLED = {"self-distillation": {}, "joint": {"training": "joint", "skill": 0.8}}


@pytest.fixture(scope="module")
def traces():
    deep = [make_trace(400, 3, seed=seed, **called) for seed in (7, 8) for called in CALLED.values()]
    shallow = [
        make_trace(400, 3, training=f"pkd-{layers}", layers=[layers], encoder={**BERT, "layers": layers})
        for layers in (6, 1)
    ]
    return [*deep, *shallow, make_trace(90, 2, "lcqmc")]


@pytest.fixture(scope="module")
def table(traces):
    return trainings(traces).set_index(["task", "training", "against", "rule", "layers"])


def right(trace, rule, layers):
    """Who is right at the slowest of all thresholds that spend no more."""
    scores = get_rule(rule).score(trace.probabilities)
    for threshold in (0, *np.nextafter(np.unique(scores), 2)):
        left = exit_layers(scores, threshold)
        if left.mean() <= layers:
            return trace.correct[np.arange(len(left)), left - 1]
    raise AssertionError


def test_against_loops(table, traces):
    of = {name: [t for t in traces if t.metadata["training"] == name][:2] for name in CALLED}
    for rule in ("entropy", "patience"):
        for layers in LAYERS:
            if (rule, layers) == ("patience", 2):  # to which patience gets where all agree at once
                assert ("book-review", "joint", "self-distillation", rule, layers) not in table.index
                continue
            mine = np.stack([right(trace, rule, layers) for trace in of["joint"]])
            for against, training in {"self-distillation": "self-distillation", "itself": "joint"}.items():
                if (rule, against) == ("entropy", "itself"):
                    assert ("book-review", "joint", against, rule, layers) not in table.index
                    continue
                theirs = np.stack([right(trace, "entropy", layers) for trace in of[training]])
                row = table.loc[("book-review", "joint", against, rule, layers)]
                assert row["accuracy"] == pytest.approx(100 * mine.mean())
                assert row["difference"] == pytest.approx(100 * (mine.mean() - theirs.mean()))
                assert row["difference_low"] < row["difference"] < row["difference_high"]
                assert row["mcnemar_p"] == pytest.approx(mcnemar(mine[0], theirs[0]))
                assert row["seeds"] == "7;8"


def test_the_last_layer_and_shallow_models_have_rows(table, traces):
    last = table.xs("none", level="rule").reset_index()
    assert dict(zip(last["training"], last["layers"], strict=True)) == {
        "joint": 12,
        "pkd-1": 1,
        "pkd-6": 6,
        "self-distillation": 12,
    }
    fastbert = next(t for t in traces if t.metadata["training"] == "self-distillation")
    for layers, theirs in ((6, right(fastbert, "entropy", 6)), (1, fastbert.correct[:, 0])):
        (mine,) = (t for t in traces if t.metadata["training"] == f"pkd-{layers}")
        row = table.loc[("book-review", f"pkd-{layers}", "self-distillation", "none", layers)]
        assert row["difference"] == pytest.approx(100 * (mine.correct[:, -1].mean() - theirs.mean()))
        assert row["seeds"] == "7"


def test_nothing_is_tested_of_a_model_beside_itself_nor_of_a_task_alone(table):
    own = table.xs("self-distillation", level="training").loc["book-review"]
    assert (own.loc["self-distillation"].loc["entropy", "difference"] == 0).all()
    assert own.loc["self-distillation"].loc["entropy", "mcnemar_p"].isna().all()
    assert own.loc["itself"].loc["patience", "mcnemar_p"].notna().all()
    assert {task for task, *_ in table.index} == {"book-review"}
    at_four = table.xs(("itself", "patience", 4), level=("against", "rule", "layers"))
    pd.testing.assert_series_equal(
        at_four["mcnemar_p_holm"], pd.Series(holm(at_four["mcnemar_p"]), at_four.index, name="mcnemar_p_holm")
    )
