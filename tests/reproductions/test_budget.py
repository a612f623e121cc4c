"""Operating points: tables against plain loops, and what they must show. The command: test_rules.py."""

from dataclasses import replace

import numpy as np
import pandas as pd
import pytest

from fastbert_core.budgets import Budget, held
from fastbert_core.exit_rules import RULES, exit_layers
from fastbert_core.flops import dense_true_macs, true_macs
from fastbert_core.layer_thresholds import by_layer, lost_so_far
from fastbert_core.metrics import at_threshold
from fastbert_core.out_of_bag import draws
from fastbert_core.sweep import slowest_within
from fastbert_core.thresholds import disagreement, harm, learn_then_test
from reproductions import budget, cli, guarantees, operating_points
from reproductions.budget import costs, drawn, measured
from reproductions.checkout import committed
from reproductions.columns import TABLES
from reproductions.streams import drifting
from reproductions.tables import read_table, write_tables
from tests.factories import BERT, load_traces, make_trace, naive, store

SEED = ["task", "seed"]
NAMES = ("budget", "guarantees", "streams", "layer_guarantees")


def pair(task, samples=600, rows=300, **options):
    return [make_trace(samples, task=task, **options), make_trace(rows, task=task, split="dev", **options)]


@pytest.fixture(scope="module")
def traces():
    """A task with enough test rows to draw from, and one of few, of two seeds; a training that is not looked at."""
    few = [trace for seed in (7, 8) for trace in pair("lcqmc", seed=seed)]
    return pair("dbpedia", samples=2600, classes=4) + few + [make_trace(600, task="lcqmc", training="labels")]


@pytest.fixture(scope="module")
def tables(traces, tmp_path_factory):
    """As they are read again."""
    folder = tmp_path_factory.mktemp("tables")
    write_tables(folder, measured(traces))
    return {name: read_table(folder, name) for name in NAMES}


def trace(traces, task, split, seed=7):
    wanted = {"task": task, "split": split, "seed": seed, "training": "self-distillation"}
    return next(t for t in traces if wanted.items() <= t.metadata.items())


@pytest.mark.parametrize("name", ["entropy", "gate"])
def test_thresholds_are_solved_on_dev_and_judged_on_test_as_they_are_written(tables, traces, name):
    dev, test = trace(traces, "lcqmc", "dev", seed=8), trace(traces, "lcqmc", "test", seed=8)
    rule = RULES[name].fit(dev.probabilities)
    rows = tables["budget"].query("task == 'lcqmc' and seed == 8 and rule == @name")
    assert len(rows) == 14
    for row in rows[rows["unit"] == "FLOPs"].itertuples():
        found = [at_threshold(side, row.threshold, rule) for side in (dev, test)]
        slower = at_threshold(dev, row.threshold - 2e-8, rule)
        assert row.calibrated == round(found[0].speedup, 3) >= row.target > slower.speedup
        assert (row.speedup, row.accuracy) == (round(found[1].speedup, 3), round(found[1].accuracy, 2))
        assert row.error == pytest.approx(100 * (found[1].speedup / row.target - 1), abs=0.006)
        assert (row.calibration, row.rows, row.judged) == ("dev", 300, 600)
        assert row.speedup_low < row.calibrated < row.speedup_high


def test_true_macs_are_those_of_each_text_s_length(tables, traces):
    test = trace(traces, "dbpedia", "test")
    shape, rule = test.shape, RULES["max-prob"]
    rows = tables["budget"].query(
        "task == 'dbpedia' and rule == 'max-prob' and unit == 'MACs' and calibration == 'dev'"
    )
    assert len(rows) == 7
    for row in rows.itertuples():
        left = exit_layers(rule.score(test.probabilities), row.threshold)
        spent = true_macs(shape, left, test.tokens, 4).sum()
        assert row.speedup == round(dense_true_macs(shape, test.tokens, 4).sum() / spent, 3)


def test_drawn_test_rows_calibrate_where_enough_are_left_to_judge(tables, traces):
    rows = tables["budget"].query("calibration == 'test'")
    assert {*rows["task"]} == {"dbpedia"}
    assert {*zip(rows["rows"], rows["judged"], strict=True)} == {(2000, 600)}
    test, first = trace(traces, "dbpedia", "test"), drawn(2600, 2000)[0]
    cost, dense = costs(test, "FLOPs")
    for row in rows[(rows["rule"] == "entropy") & (rows["unit"] == "FLOPs")].itertuples():
        threshold = slowest_within(test.uncertainties[first], cost[first], dense[0] / row.target)
        assert 0 <= row.threshold - threshold < 1.1e-8
        left = exit_layers(test.uncertainties[~first], row.threshold)
        assert row.speedup == round(dense[0] / cost[~first][np.arange(600), left - 1].mean(), 3)


def test_splits_of_test_rows_say_how_good_choices_are(tables):
    rows = tables["budget"]
    enough = (rows["task"] == "dbpedia") | (rows["judged"] - rows["rows"] >= 500)
    assert rows.loc[enough, ["split_error", "covered"]].notna().all().all()
    assert rows.loc[~enough, ["split_error", "covered"]].isna().all().all()
    assert (rows.loc[enough, "covered"] >= 80).all()
    assert rows.loc[enough, "covered"].mean() >= 90
    by_size = rows[enough].groupby("rows")["split_error"].mean()
    assert by_size[2000] < by_size[300] < 6


def test_what_no_threshold_reaches_is_not_asked(traces):
    test, dev = pair("weibo", samples=50, rows=50)
    unsure = dev.probabilities.copy()
    unsure[:, :3] = 0.5  # nothing leaves before layer 4: below 1 is no score
    rows = pd.DataFrame(budget.speedups(test, replace(dev, probabilities=unsure)))
    assert {*rows.loc[rows["rule"] == "entropy", "target"]} == {1.5, 2}


def test_guarantees_are_learn_then_test_s_and_the_naive_choice_s(tables, traces):
    dev, test = trace(traces, "dbpedia", "dev"), trace(traces, "dbpedia", "test")
    choices = {"learn-then-test": learn_then_test, "naive": naive}
    losses = {
        "agreement": lambda t: disagreement(t.predictions, t.probabilities),
        "excess error": lambda t: harm(t.predictions, t.probabilities, t.labels),
    }
    mine = (
        tables["guarantees"].query("task == 'dbpedia'").set_index(["loss", "method", "epsilon", "calibration", "rows"])
    )
    assert len(mine) == 2 * 2 * 3 * 3
    every = np.arange(len(test.labels))
    for loss, of in losses.items():
        on_dev, on_test = of(dev), of(test)
        for method, choose in choices.items():
            for epsilon in (0.5, 1, 2):
                row = mine.loc[(loss, method, epsilon, "dev", 300)]
                threshold = choose(on_dev, dev.uncertainties, epsilon / 100).threshold or 0.0
                left = exit_layers(test.uncertainties, threshold)
                lost = 100 * on_test[every, left - 1].mean()
                assert row["threshold"] == pytest.approx(threshold, abs=1e-8)
                found = (row["mean_layers"], row["lost"], row["broken"], row["draws"])
                assert found == (round(left.mean(), 3), round(lost, 3), 100 * (lost > epsilon), 1)
                assert pd.isna(row["delta"]) == (method == "naive")


@pytest.mark.parametrize(("method", "choose"), [("learn-then-test", learn_then_test), ("naive", naive)])
def test_the_share_of_broken_promises_is_that_of_draws_made_one_by_one(tables, traces, monkeypatch, method, choose):
    monkeypatch.setattr(guarantees, "DRAWS", 25)
    test, dev = trace(traces, "dbpedia", "test"), trace(traces, "dbpedia", "dev")
    rows = pd.DataFrame(guarantees.promises(test, dev)).query("loss == 'agreement' and rows == 500 and epsilon == 2")
    losses, broken = disagreement(test.predictions, test.probabilities), []
    for counts in draws(len(losses), 500, 25, seed=1):
        some = np.repeat(np.arange(len(losses)), counts)
        threshold = choose(losses[some], test.uncertainties[some], 0.02).threshold or 0.0
        left = exit_layers(test.uncertainties, threshold)
        broken.append(losses[np.arange(len(left)), left - 1].mean() > 0.02)
    assert rows.set_index("method").loc[method, "broken"] == pytest.approx(100 * np.mean(broken))


def test_promises_are_kept_in_draws_and_naive_ones_are_not(tables):
    drawn_rows = tables["guarantees"].query("draws > 1")
    assert {*drawn_rows["rows"]} == {500, 2000}
    assert {*drawn_rows["draws"]} == {200}
    broken = drawn_rows.groupby("method")["broken"]
    assert broken.max()["learn-then-test"] <= 13
    assert broken.mean()["naive"] > 25


def test_the_promise_of_every_layer_is_kept_where_one_threshold_breaks_it(tables, traces):
    rows = tables["layer_guarantees"].query("task == 'dbpedia'").pivot(index="epsilon", columns="method")
    assert (rows["broken"]["by layer"] <= 14).all()
    assert (rows["mean_layers"]["by layer"] > rows["mean_layers"]["one threshold"]).all()
    # One draw's threshold, by hand: those that leave at layer 1, and at 1 or 2, and so on, of all test rows.
    test = trace(traces, "dbpedia", "test")
    losses, scores = disagreement(test.predictions, test.probabilities), test.uncertainties
    some = np.random.default_rng(0).integers(len(scores), size=2000)
    thresholds = by_layer(losses[some], scores[some], 0.02)
    assert thresholds.any()
    left = exit_layers(scores, thresholds)
    lost = losses[np.arange(len(left)), left - 1]
    for layer in range(1, 12):
        expected = (left <= layer).sum(), lost[left <= layer].sum()
        assert tuple(counts[layer - 1] for counts in lost_so_far(losses, scores, thresholds)) == expected


def test_a_budget_is_held_where_texts_come_by_length_or_from_another_task(tables, traces):
    rows = tables["streams"].set_index([*SEED, "stream"])
    assert [*rows.loc[("lcqmc", 8)].index] == ["by length", "shuffled"]
    dev, test = trace(traces, "lcqmc", "dev", 8), trace(traces, "lcqmc", "test", 8)
    row = rows.loc[("lcqmc", 8, "by length")]
    stream = test.uncertainties[np.argsort(test.tokens, kind="stable")]
    assert row["held_layers"] == round(held(stream, Budget.from_scores(dev.uncertainties, 4), 32).mean(), 3)
    fixed = exit_layers(stream, slowest_within(dev.uncertainties, np.arange(1, 13), 4))
    assert row["fixed_layers"] == round(fixed.mean(), 3)
    assert (rows["held_error"].abs() <= rows["bound"]).all()
    assert rows.loc[(slice(None), slice(None), "shuffled"), ["alarm_layers", "alarm_scores"]].isna().all().all()


def test_one_task_s_texts_are_followed_by_another_s(traces):
    test, dev = trace(traces, "dbpedia", "test"), trace(traces, "dbpedia", "dev")
    other = make_trace(900, task="yelp-full", classes=5, skill=0.3)
    row = list(drifting(test, dev, [other]))[-1]
    assert (row["stream"], row["samples"]) == ("then yelp-full", 3500)
    stream = np.concatenate([test.uncertainties, other.uncertainties])
    assert row["held_layers"] == held(stream, Budget.from_scores(dev.uncertainties, 4), 32).mean()
    assert row["fixed_error"] > 3 * abs(row["held_error"])
    assert row["alarm_scores"] > 2600

    long, shallow = make_trace(9000, task="yelp-full"), make_trace(40, task="yelp-full", layers=[6, 12])
    streams = {row["samples"] for row in drifting(test, dev, [long, shallow]) if row["stream"] == "then yelp-full"}
    assert streams == {2600 + 5000}, "no more than half of the longest, none of another depth"


def test_on_the_committed_traces_a_budget_is_held_where_a_fixed_threshold_misses_it():
    """dbpedia's texts, then yelp-full's: what is asked of a table that training again would change."""
    sides = {}
    for task in ("dbpedia", "yelp-full"):
        mine = load_traces(committed("results", "standard"), task=task, training="self-distillation", epoch=None)
        sides[task] = {found.metadata["split"]: found.uncertainties for found in mine}
    first, then = (side["test"] for side in sides.values())
    stream, dev = np.concatenate([first, then])[-10_000:], sides["dbpedia"]["dev"]
    assert len(stream) == 10_000
    for layers in (3, 4):
        fixed = exit_layers(stream, slowest_within(dev, np.arange(1, 13), layers))
        assert fixed.mean() > 1.2 * layers
        assert held(stream, Budget.from_scores(dev, layers), 32).mean() == pytest.approx(layers, rel=0.03)


def test_a_model_without_dev_trace_has_empty_tables(tmp_path, capsys):
    store(tmp_path / "standard", [make_trace(40)])
    assert cli.main(["budget", "all", "--results-dir", str(tmp_path)]) == 0
    assert "no model keeps a dev trace" in capsys.readouterr().out
    assert read_table(tmp_path / "standard", "budget").empty


@pytest.mark.parametrize(("kind", "tables"), [("single-label", 5), ("regression", 3)])
def test_an_encoder_of_two_layers_has_what_can_be_reached(tmp_path, capsys, kind, tables):
    """No threshold spends a third of its layers, and a regression, which never exits at the first, is never faster."""
    traces = pair("mine", encoder=BERT | {"layers": 2})
    if kind == "regression":
        more = {"classes": ["score"], "task_type": kind}
        traces = [
            replace(t, probabilities=t.probabilities[..., :1], labels=t.labels / 2, metadata=t.metadata | more)
            for t in traces
        ]
    store(tmp_path / "standard", traces)
    assert cli.main(["budget", "mine", "--results-dir", str(tmp_path)]) == 0
    said = capsys.readouterr().out
    assert said.count(":\n") == tables
    assert "Empty" not in said
    assert "streams under" not in said
    assert "dev trace" not in said
    assert read_table(tmp_path / "standard", "streams").empty
    assert len(read_table(tmp_path / "standard", "guarantees"))


def test_a_model_that_reaches_a_single_target_has_no_line():
    def rows(task, targets):
        reached = {"target": targets, "speedup": [target + 0.1 for target in targets]}
        common = {"task": task, "seed": 7, "unit": "FLOPs", "rule": "entropy", "calibration": "dev", "rows": 300}
        rest = dict.fromkeys(("speedup_low", "error", "split_error", "covered"), 1.0) | {"speedup_high": 9.0}
        return pd.DataFrame(reached).assign(**common | rest)

    one, several = rows("shallow", [1.5]), rows("deep", [1.5, 2.0, 3.0])
    for both in ([one, several], [several, one]):
        (line,) = operating_points.reached(pd.concat(both)).to_dict("records")
        assert (line["models"], line["R² of a line"], line["of the diagonal"]) == ("2", "1.0000", "0.9743")
    (line,) = operating_points.reached(one).to_dict("records")
    assert (line["R² of a line"], line["of the diagonal"]) == ("", "")
    (line,) = operating_points.reached(several.assign(speedup=3.0)).to_dict("records")
    assert (line["R² of a line"], line["of the diagonal"]) == ("", "-1.7857")


def test_texts_name_seeds_and_what_never_exits(tables):
    asked = operating_points.asked(tables["budget"])
    assert [*asked["task"]] == ["dbpedia", "lcqmc, seed 7", "lcqmc, seed 8"]
    assert [*asked.columns] == ["task", "1.5x", "2x", "3x", "4x", "6x", "8x", "10x"]
    tolerated = operating_points.tolerated(tables["guarantees"]).set_index("task")
    assert {*tolerated["at most 0.5%"]} == {operating_points.NEVER}  # 300 rows are too few
    reached = operating_points.reached(tables["budget"])
    assert {*reached["calibrated on"]} == {"300 rows of dev", "2,000 rows of test"}
    line = reached.query("unit == 'FLOPs' and rule == 'entropy' and models == '3'").iloc[0]
    rows = tables["budget"].query("unit == 'FLOPs' and rule == 'entropy' and calibration == 'dev'")
    fits = [np.corrcoef(mine["target"], mine["speedup"])[0, 1] ** 2 for _, mine in rows.groupby(SEED)]
    assert line["R² of a line"] == f"{min(fits):.4f}"
    assert line["worst"] == f"{rows['error'].abs().max():.1f}%"
    promised = operating_points.promised(tables["guarantees"])
    assert len(promised) == 2 * 2 * 3
    assert {*promised["rows"]} == {"500", "2,000"}
    assert operating_points.drifted(tables["streams"])["alarm on layers"].str.fullmatch(r"\d*").all()
    for name in NAMES:
        assert [*tables[name].columns] == [*TABLES[name]]
