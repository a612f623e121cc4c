"""Pages: prose by hand stays, blocks follow from the tables, and the committed pages are made from committed tables."""

import numpy as np
import pandas as pd
import pytest

from fastbert_core.errors import InputError
from fastbert_core.uncertainty import uncertainty
from reproductions import blocks, pages
from reproductions.columns import TABLES
from reproductions.figure4_luha import check
from tests.factories import binary_trace


def test_every_block_stands_on_a_page():
    shown = {name for path in pages.pages() for _, name, _ in pages.BLOCK.findall(path.read_text(encoding="utf-8"))}
    assert shown == set(blocks.BLOCKS)


def test_prose_is_left_alone(tmp_path, monkeypatch):
    monkeypatch.setitem(pages.BLOCKS, "mine", lambda tables: "new")
    page = tmp_path / "page.md"
    page.write_text("a\n<!-- table: mine -->\nold\n<!-- end -->\nb <!-- end -->\n<!-- table: mine -->\n<!-- end -->\n")
    block = "<!-- table: mine -->\n\nnew\n\n<!-- end -->"
    assert pages.made(page) == f"a\n{block}\nb <!-- end -->\n{block}\n"
    page.write_text(pages.made(page))
    assert pages.made(page) == page.read_text()


@pytest.mark.parametrize(
    "text",
    [
        "<!-- table: unknown -->\n<!-- end -->\n",
        "<!-- table: columns -->\n",
        "<!-- table: columns -->\n<!-- table: columns -->\n<!-- end -->\n",
        "<!-- table: columns --> <!-- end -->\n",
    ],
)
def test_a_block_out_of_order_is_refused_by_name(text, tmp_path):
    page = tmp_path / "page.md"
    page.write_text(text)
    with pytest.raises(InputError, match=r"page\.md: found "):
        pages.made(page)


class Empty(blocks.Tables):
    """Tables without rows, in whatever folder, but for those that are given."""

    def __missing__(self, asked):
        return pd.DataFrame(columns=list(TABLES[asked.rpartition("/")[2]]))


# Of no table, or, as the headline, with a row for each question.
ALWAYS = {"columns", "settings", "train_options", "public_names", "engine_methods", "headline"}


@pytest.mark.parametrize("name", blocks.BLOCKS)
def test_without_rows_a_block_says_so(name):
    assert blocks.BLOCKS[name](Empty()).endswith("Not measured yet.") == (name not in ALWAYS)


def shown(name, **tables):
    """The cells of a block's table by row."""
    lines = blocks.BLOCKS[name](Empty(tables)).splitlines()
    rows = [[cell.strip() for cell in line.strip("|").split("|")] for line in lines if line.startswith("|")]
    return [dict(zip(rows[0], row, strict=True)) for row in rows[2:]]


def test_a_student_that_is_rarely_sure_loses_by_its_shares():
    """Layer 1 is the most accurate where it is sure and where it is not, but rarely sure; layers 2 and 3 mostly are."""
    rng = np.random.default_rng(0)
    sure = np.stack([rng.random(4000) < share for share in (0.2, 0.95, 0.95)], axis=1)
    accuracy = np.where(sure, [0.995, 0.985, 0.985], [0.75, 0.65, 0.65])
    trace = binary_trace(np.where(sure, 0.999, 0.6), rng.random((4000, 3)) < accuracy)
    (row,) = shown("students", luha=check(trace))
    by_share, within = float(row["from the shares"]), float(row["from accuracy within bins"])
    assert row["more accurate in"] == "2 of 2 bins"
    assert by_share < -10
    assert within > 0
    difference = 100 * (trace.correct[:, 0].mean() - trace.correct[:, 2].mean())
    assert by_share + within == pytest.approx(difference, abs=0.011)


def test_a_bin_that_one_side_leaves_empty_counts_as_shares_alone():
    rng = np.random.default_rng(0)
    correct = np.stack([rng.random(4000) < accuracy for accuracy in (0.7, 0.8, 0.9)], axis=1)
    confidence = np.tile([0.6, 0.8, 0.999], (4000, 1))  # each layer in a bin of its own
    (row,) = shown("students", luha=check(binary_trace(confidence, correct)))
    assert float(row["from accuracy within bins"]) == 0
    assert float(row["from the shares"]) == pytest.approx(
        100 * (correct[:, 0].mean() - correct[:, 2].mean()), abs=0.006
    )


def luha_rows(*accuracies):
    """luha.csv of dbpedia where layer l has these accuracies in bins of 100 samples, from certain to uncertain."""
    confidence = np.linspace(1 - 1e-9, 0.5, 10_000)
    unsure = uncertainty(np.stack([confidence, 1 - confidence], axis=-1))
    middles = np.interp((np.arange(len(accuracies[0])) + 0.5) / 10, unsure, confidence)
    correct = np.stack([np.concatenate([np.arange(100) < share for share in layer]) for layer in accuracies], axis=1)
    sure = np.repeat(middles, 100)[:, None].repeat(len(accuracies), axis=1)
    return check(binary_trace(sure, correct, task="dbpedia"))


def test_luha_shows_the_largest_rise_of_a_task_and_what_the_tests_say():
    falls, rises, jumps = (90, 80, 70, 60), (90, 60, 66, 61), (90, 50, 80, 60)
    (row,) = shown("luha", luha=luha_rows(falls, rises))
    assert (row["task"], row["classifiers"], row["hold as a trend"]) == ("dbpedia", "2", "2")
    assert row["rise by the isotonic test"] == "0"
    assert row["largest rise"].startswith("+6.0, at most +")
    assert row["at"] == "seed 7, layer 2: 0.1-0.2 to 0.2-0.3"
    assert row["their samples"] == "100, 100"
    (row,) = shown("luha", luha=luha_rows(falls, rises, jumps))
    assert row["rise by the isotonic test"] == "1"
    assert row["hold as a trend"] == "2"  # the jump is a significant rise too
    assert row["largest rise"].startswith("+30.0, at most +")


def test_luha_counts_classifiers_that_fall_and_leaves_few_samples_out():
    rows = luha_rows((90, 70, 50, 30), (90, 60, 66, 61))
    text = blocks.BLOCKS["luha"](blocks.Tables({"luha": rows}))
    assert text.startswith("1 of 2 classifiers are less accurate in each of these bins than in all before it; for 1 ")
    few = rows["bin"] == "0.1-0.2"
    rows.loc[few, "samples"] = 29
    (row,) = shown("luha", luha=rows.assign(largest_rise=rows["largest_rise"].where(rows["layer"] == 2)))
    assert row["at"] == "seed 7, layer 2: 0.2-0.3 to 0.3-0.4"  # they fall, by 5 points, least of all


def test_claims_in_words_count_the_tasks_they_hold_on():
    speedups = {"one": (2.5, 9.0), "two": (3.0, 6.5), "three": (1.9, 7.0)}
    table2 = [(task, f"speed={s}", x) for task, both in speedups.items() for s, x in zip((0.1, 0.8), both, strict=True)]
    lost = pd.DataFrame(table2, columns=["task", "setting", "x"]).assign(against="BERT", errors_added=0.0)
    lost["difference"] = [-0.1, -1.25, -0.9, -9.0, 0.0, -2.0]
    lost = lost.assign(difference_low=lost["difference"] - 1, difference_high=lost["difference"] + 1)
    lost["without_loss"] = ["yes", "no", "no", "no", "yes", "no"]
    sure = [(task, 7, layer, "0.0-0.1", percent) for task in speedups for layer, percent in ((1, 20), (2, 10), (3, 30))]
    sure[-1] = ("three", 7, 3, "0.0-0.1", 15)
    equal = [
        ("one", "FastBERT without self-distillation", "all mean layers", 0.1, 0.5, np.nan),
        ("two", "FastBERT without self-distillation", "all mean layers", -0.1, 0.5, np.nan),
        ("two", "FastBERT without self-distillation", "speed=0.2", 0.1, 0.5, 0.01),
        ("one", "one student", "layer=1", 0.1, 0.5, 0.01),
        ("one", "one student", "layer=2", 0.1, 0.5, 0.2),
        ("one", "one student", "layer=3", -0.5, -0.1, 0.01),
    ]
    rows = shown(
        "in_words",
        table2=pd.DataFrame(table2, columns=["task", "setting", "speedup"]).assign(model="FastBERT"),
        comparisons=lost,
        luha=pd.DataFrame(sure, columns=["task", "seed", "layer", "bin", "percent"]),
        equal_flops=pd.DataFrame(
            equal,
            columns=["task", "against", "against_setting", "difference_low", "difference_high", "mcnemar_p_holm"],
        ).eval("difference = (difference_low + difference_high) / 2"),
    )
    told = [row["measured"] for row in rows]
    assert told[0].startswith(
        "twice as fast or more on 2 of 3 tasks (1.90x to 3.00x), on 1 of these for less than half"
    )
    assert told[1] == "7 times as fast or more on 2 of 3 tasks (6.50x to 9.00x), for 1.2 to 2.0 points"
    assert told[3].endswith("on 2 of 3 tasks; from a layer to the next more do in 3 of 6 steps")
    assert told[5].startswith("over all depths on 1 of 2 tasks")
    assert told[6].startswith("at its FLOPs it beats 1 of 3 students by themselves and loses to 1")


def test_table_3_shows_the_rows_that_the_paper_has():
    row = {"task": "book-review", "model": "FastBERT", "setting": "speed=0.2", "accuracy": 86.5, "speedup": 2.0}
    row |= {"reported_accuracy": 87.0, "reported_speedup": 2.25, "relative_loss": 0.5, "reported_loss": -0.1}
    misprint = row | {"relative_loss": np.nan, "verdict": "misprint", "verdict_relative": ""}
    rows = [
        row | {"verdict": "worse", "verdict_relative": "not worse"},
        misprint,
        misprint | {"reported_accuracy": np.nan},
    ]
    first, second = shown("table3", table3=pd.DataFrame(rows))
    assert (first["measured"], first["paper"]) == ("86.50 · 2.00x", "87.00 · 2.25x")
    assert (first["loss"], first["verdict on the loss"]) == ("+0.50 (paper -0.10)", "not worse")
    assert (second["loss"], second["verdict on the loss"]) == ("", "misprint")


def test_what_others_print_stands_beside_ours_of_the_same_task():
    rows = pd.DataFrame(
        [
            ("all layers", "none", "matthews", 55.0, None, 12.0),
            ("all layers", "none", "accuracy", 81.0, None, 12.0),
            ("half of the layers", "entropy", "matthews", 54.0, 1.0, 5.9),
            ("half of the layers", "patience", "matthews", 52.0, 3.0, 6.1),
        ],
        columns=["point", "rule", "metric", "value", "lost", "mean_layers"],
    ).assign(
        task="cola", training="self-distillation", seeds="7", task_type="single-label", lost_low=-1.0, lost_high=4.0
    )
    (row,) = shown("elsewhere", **{"more/task_metrics": rows})
    found = [*row.values()]
    assert found[2:5] == ["ALBERT-base", "58.9", "61.2 at 1.57x"]
    theirs, own = "+3.00 [-1.00, +4.00], 6.1 layers", "entropy: +1.00 [-1.00, +4.00], 5.9 layers"
    assert found[5:] == ["matthews 55.00", theirs, own]


MODEL = {"task": "t", "device": "cpu", "precision": "bf16", "machine": "m; 2 threads; avx2; torch 2"}


def rows_of(name: str, rows: list[dict]) -> pd.DataFrame:
    return pd.DataFrame([MODEL | row for row in rows]).reindex(columns=list(TABLES[name]))


def test_agreement_adds_up_batches_and_speeds_and_shows_the_worst():
    passes = [
        {"samples": 100, "same_label_percent": 98.0, "differing": 3, "unexcused": 2, "farthest": 0.02},
        {"samples": 50, "same_label_percent": 100.0, "differing": 1, "unexcused": 0, "farthest": 0.01},
        {"samples": 50, "same_label_percent": 100.0, "differing": 0, "unexcused": 0},
    ]
    last = blocks.BLOCKS["agreement"](Empty(agreement=rows_of("agreement", passes))).splitlines()[-1]
    assert [cell.strip() for cell in last.split("|")[4:-1]] == ["3", "200", "4", "2", "0.02", "98.00"]


def test_a_rival_stands_at_its_faster_batch_beside_each_of_ours():
    ours = [{"ours_batch": 256, "ours_samples_per_second": 90.0}, {"ours_batch": 1, "ours_samples_per_second": 20.0}]
    slow, fast = (
        {"rival": "r", "batch": batch, "samples_per_second": rate} for batch, rate in ((32, 10.0), (256, 30.0))
    )
    one = {"rival": "one", "batch": 1, "samples_per_second": 40.0}
    rows = [slow | ours[0], fast | ours[0], one | ours[0], one | ours[1]]
    page = blocks.BLOCKS["rivals"](Empty(rivals=rows_of("rivals", rows)))
    table = [[cell.strip() for cell in line.split("|")] for line in page.splitlines() if line.startswith("| ")][1:]
    assert [(line[1], line[3], line[4], line[8]) for line in table] == [
        ("one", "1", "40.0", "90.0"),
        ("one", "1", "40.0", "20.0"),
        ("r", "256", "30.0", "90.0"),
    ]
