"""FastBERT on several encoders: which models stand beside each other, and what they are held against."""

import numpy as np
import pandas as pd
import pytest

from fastbert_core.metrics import at_flops, at_speed, dense
from reproductions.encoders import encoders
from reproductions.seeds import comparable
from reproductions.speeds import EQUAL_FLOPS
from reproductions.statistics import holm, mcnemar
from reproductions.tables import read_table, write_table
from tests.factories import BERT, make_trace, on_encoder, run_row, runs_of

SMALL = BERT | {"layers": 6, "hidden": 384, "intermediate": 1536}
ON = {"large": BERT, "small": SMALL}


def on(name, **options):
    return on_encoder(name, ON[name], samples=300, classes=3, **options)


@pytest.fixture(scope="module")
def traces():
    return [*on("large"), *on("small", skill=0.8), *on("small", task="lcqmc")]


def table_of(traces, **changes):
    rows = [run_row(t, **changes.get(t.metadata["backbone"], {})) for t in traces if t.metadata["split"] == "test"]
    return encoders(traces, pd.DataFrame(rows))


@pytest.fixture(scope="module")
def table(traces):
    return table_of(traces).set_index(["backbone", "setting", "against"])


def test_a_task_has_rows_where_it_has_encoders_to_compare(table):
    assert set(table["task"]) == {"book-review"}
    assert list(table.index.unique("backbone")) == ["large", "small"]
    assert table.loc["small"][["family", "layers", "hidden"]].drop_duplicates().values.tolist() == [["bert", 6, 384]]


def test_it_is_written_as_its_columns_say(traces, tmp_path):
    table = table_of(traces)
    write_table(tmp_path, "encoders", table)
    assert read_table(tmp_path, "encoders")["setting"].value_counts()[EQUAL_FLOPS] == 1


def test_each_is_held_against_its_own_last_layer(traces, table):
    for name, test in (("large", traces[0]), ("small", traces[2])):
        full = table.loc[(name, f"{test.shape.layers} layers", name)]
        assert (full["accuracy"], full["mflops"]) == (dense(test).accuracy, dense(test).flops / 1e6)
        assert pd.isna(full["difference"])
        row = table.loc[(name, "speed=0.5", name)]
        assert row["difference"] == pytest.approx(at_speed(test, 0.5).accuracy - dense(test).accuracy)
        assert row["speedup"] == pytest.approx(dense(test).flops / at_speed(test, 0.5).flops)
        assert row["difference_low"] < row["difference"] < row["difference_high"]


def test_the_larger_meets_the_smaller_at_its_flops(traces, table):
    large, small = traces[0], traces[2]
    assert [key for key in table.index if key[1] == EQUAL_FLOPS] == [("large", EQUAL_FLOPS, "small")]
    row, used = table.loc[("large", EQUAL_FLOPS, "small")], at_flops(large, dense(small).flops)
    assert row["mflops"] <= dense(small).flops / 1e6
    assert row["difference"] == pytest.approx(used.accuracy - dense(small).accuracy)
    assert row["mcnemar_p"] == row["mcnemar_p_holm"] == mcnemar(used.correct, dense(small).correct)
    assert np.isnan(table["mcnemar_p_holm"]).sum() == len(table) - 1


def test_encoders_meet_in_the_seeds_that_both_have(traces, table):
    for again in on("small", skill=0.8, seed=8):
        again.metadata["run_id"] = "small-again"
        traces = [*traces, again]
    rows = table_of(traces).set_index(["backbone", "setting", "against"])
    assert rows.loc[("small", "6 layers", "small"), "seeds"] == "7;8"
    asked = ("large", EQUAL_FLOPS, "small")
    assert rows.loc[asked, ["seeds", "run_id"]].tolist() == table.loc[asked, ["seeds", "run_id"]].tolist()
    assert table_of([*traces[2:4], *traces[6:], *on("large", seed=9)]).query("setting == @EQUAL_FLOPS").empty


@pytest.mark.parametrize("change", [{"train_rows": 4000}, {"data_sha256": "c" * 64}, {"precision": "fp32"}])
def test_models_that_learnt_from_other_rows_are_not_compared(traces, change):
    assert table_of(traces, small=change).empty


def test_other_tables_are_of_the_tasks_own_encoder(caplog):
    own, others = make_trace(300, 3), on("small")
    (kept,) = comparable([*others, own], runs_of([*others, own]))
    assert kept is own
    assert not caplog.text


def test_holm_is_over_all_equal_flops(traces):
    table = table_of([*traces, *on("large", task="lcqmc")])
    asked = table["setting"] == EQUAL_FLOPS
    assert asked.sum() == 2
    assert table.loc[asked, "mcnemar_p_holm"].tolist() == pytest.approx(list(holm(table.loc[asked, "mcnemar_p"])))
