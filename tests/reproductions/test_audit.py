"""The audit: what it must find, that it finds nothing else, and that its rules hold for numbers printed by them."""

import pandas as pd
import pytest
from hypothesis import given
from hypothesis import strategies as st

from reproductions.audit import audit, corrected, misprints
from reproductions.audit.check import DEEPEST, DENSE, EXECUTED, Place, truncated
from reproductions.audit.tables import CLASSIFIER, TRANSFORMER, check_fixed_depth, check_speedup, check_within_depth

CHINESE = ["chnsenticorp", "book-review", "shopping-review", "lcqmc", "weibo", "thucnews"]
ENGLISH = ["ag-news", "amazon-full", "dbpedia", "yahoo", "yelp-full", "yelp-polarity"]

# Known beforehand: source, task, setting, what is wrong, printed, should be.
KNOWN = {
    ("table 1", "", "total", "mflops", 1809.9, 1811.9),
    ("table 2", "shopping-review", "speed=0.8", "speedup", 10.04, 10.43),
    ("table 2", "weibo", "speed=0.8", "speedup", 10.09, 10.99),
    ("table 2", "yahoo", "speed=0.1", "speedup", 1.30, 1.34),
    *(("table 2", task, "3 layers", "mflops", 5428, 5482) for task in CHINESE),
    *(("table 2", task, "1 layers", "mflops", 1816, 1812) for task in ENGLISH),
    ("table 3", "yelp-polarity", "speed=0.2", "mflops", 52783, 5278),
    ("table 3", "yelp-polarity", "speed=0.7", "accuracy", 94.67, None),
    ("figure 5", "book-review", "speed=0.8", "figure 5 or table 2", 1.915, None),
    ("figure 5", "book-review", "speed=0.5", "figure 5 or table 2", 3.282, None),
    ("figure 7", "book-review", "speed=0.5", "speedup", 6, 4.21),
}
# Found beside these, and checked by hand.
FOUND = {
    ("table 1", "", "Self-attention (768->768)", "mflops", 603.0, 604.0),
    *(("table 2", task, "3 layers", "speedup", 4.01, 3.97) for task in CHINESE),
    *(("table 2", task, "3 layers", "speedup", 4.00, 4.01) for task in ENGLISH),
    *(("table 2", task, "1 layers", "speedup", 12.00, 12.02) for task in ENGLISH),
    ("figure 3", "yelp-polarity", "speed=0.03", "speedup", 2.66, None),
    ("figure 5", "book-review", "speed=0.3", "figure 5 or figure 3", 4.160, None),
    ("figure 7", "book-review", "epoch 5", "figure 7 or README", 5771, None),
    ("figure 7", "book-review", "epoch 7", "figure 7 or README", 5182, None),
    ("figure 7", "book-review", "epoch 8", "figure 7 or README", 5182, None),
    ("figure 7", "book-review", "epoch 8", "figure 7 or table 2", 5182, None),
}


@pytest.fixture(scope="module")
def checks() -> pd.DataFrame:
    return audit()


def test_finds_every_known_misprint_and_nothing_unexplained(checks):
    rows = misprints(checks)[["source", "task", "setting", "misprinted", "printed", "corrected"]]
    found = {tuple(None if pd.isna(value) else value for value in row) for row in rows.itertuples(index=False)}
    assert found == KNOWN | FOUND


def test_a_failed_check_says_what_is_wrong_and_a_held_one_does_not(checks):
    assert ((checks["low"] <= checks["printed"]) & (checks["printed"] <= checks["high"])).equals(checks["holds"])
    assert (checks["misprinted"] == "").equals(checks["holds"])
    assert checks.loc[checks["holds"], "corrected"].isna().all()
    assert (checks["arithmetic"] != "").all()


def test_every_printed_flops_and_speedup_is_checked(checks):
    counts = checks.groupby(["source", "check"]).size()
    assert counts["table 2", "FLOPs by arithmetic"] == counts["table 2", "speedup from FLOPs"] == 84
    assert counts["table 3", "FLOPs by arithmetic"] == counts["table 3", "speedup from FLOPs"] == 12
    assert counts["table 2", "accuracy in figure 3"] == 48  # BERT and three speeds, twelve tasks
    assert counts["figure 3", "rises with speed"] == 240


def test_yelp_p_is_a_misprint(checks):
    row = misprints(checks).query("printed == 52783").iloc[0]
    assert DEEPEST < 52783
    assert "4.12x and figure 3's 4.13x leave 5275M to 5281M" in row["arithmetic"]
    assert truncated(DENSE / row["corrected"], 2) == 4.12
    assert round(DENSE / row["corrected"], 2) == 4.13


def test_readme_counts_whole_layers(checks):
    readme = checks.query("source == 'README' and check == 'whole layers'")
    assert readme["holds"].all()
    assert [round(layers) for layers in readme["printed"]] == [33987, 31527, 27892, 27892, 27892, 8904, 8869, 8643]


def test_corrected_tables():
    table = corrected().set_index(["task", "model", "setting"])
    assert len(table) == 96
    yelp = table.loc["yelp-polarity", "FastBERT", "speed=0.2"]
    assert (yelp["mflops"], yelp["corrected_mflops"], yelp["doubtful"]) == (52783, 5278, False)
    assert yelp["misprint"].startswith("misprinted mflops 52783, by arithmetic 5278: ")
    doubtful = table[table["doubtful"]]
    assert doubtful.index.tolist() == [("yelp-polarity", "FastBERT", "speed=0.7")]
    assert doubtful["misprint"].item() == "misprinted accuracy 94.67: figure 3 draws 94.59"
    weibo = table.loc["weibo", "FastBERT", "speed=0.8"]
    assert weibo["corrected_mflops"] == weibo["mflops"] == 1982
    assert weibo["misprint"].startswith("misprinted speedup 10.09, by arithmetic 10.99: 21785.25 / 1982 = 10.992")
    changed = table["corrected_mflops"] != table["mflops"]
    assert changed.sum() == 13  # six Chinese and six English DistilBERT rows, and Yelp.P
    assert (table["misprint"] == "").sum() == 96 - 6 - 6 - 6 - 3 - 2


def printed(**row: object) -> pd.Series:
    return pd.Series({"task": "ag-news", "model": "FastBERT", "setting": "speed=0.5", "accuracy": 90.0, **row})


PLACE = Place("table 2", "ag-news", "FastBERT", "speed=0.5")


@given(st.floats(EXECUTED, DEEPEST))
def test_what_a_fastbert_row_prints_holds(mflops):
    row = printed(mflops=truncated(mflops), speedup=truncated(DENSE / mflops, 2))
    assert check_within_depth(PLACE, row, None).holds
    assert check_speedup(PLACE, row, None).holds


@given(st.integers(1, 12), st.sampled_from(["ag-news", "weibo"]))
def test_what_a_distilbert_row_prints_holds(layers, task):
    mflops = layers * TRANSFORMER + (CLASSIFIER if task == "weibo" else 0)
    row = printed(
        task=task,
        model="DistilBERT",
        setting=f"{layers} layers",
        mflops=round(mflops),
        speedup=round(DENSE / mflops, 2),
    )
    assert all(check.holds for check in check_fixed_depth(PLACE, row))
    assert check_speedup(PLACE, row, None).holds


@given(st.floats(EXECUTED, DEEPEST), st.sampled_from([-0.05, 0.05]))
def test_a_wrong_speedup_is_found_and_put_right(mflops, error):
    right = truncated(DENSE / mflops, 2)
    drawn = pd.Series({"speedup": round(DENSE / mflops, 2)})
    check = check_speedup(PLACE, printed(mflops=truncated(mflops), speedup=round(right + error, 2)), drawn)
    assert not check.holds
    assert check.misprinted == "speedup"
    assert check.corrected == pytest.approx(right, abs=0.0101)


@given(st.floats(EXECUTED, DEEPEST), st.sampled_from([0.1, 0.5, 2, 10]))
def test_wrong_flops_are_found_and_put_right(mflops, factor):
    drawn = pd.Series({"speedup": round(DENSE / mflops, 2)})
    row = printed(mflops=truncated(mflops * factor), speedup=truncated(DENSE / mflops, 2))
    check = check_speedup(PLACE, row, drawn)
    assert not check.holds
    assert check.misprinted == "mflops"
    assert DENSE / check.corrected == pytest.approx(DENSE / mflops, abs=0.011)
