"""Exit rules beside each other: tables against plain loops, and the command, which `budget` has in common."""

import dataclasses

import numpy as np
import pandas as pd
import pytest

from fastbert_core.exit_rules import BOUNDS, exit_layers
from fastbert_core.metrics import at_layer, at_threshold, dense, exit_costs, judged
from fastbert_core.task_types import SINGLE
from fastbert_core.thresholds import by_speedup
from plots.cli import main as drawing
from reproductions import cli, commands, operating_points, pages, statistics
from reproductions.columns import TABLES
from reproductions.figure3_speed_accuracy import speed_accuracy
from reproductions.rules import board, board_text, left_out, measured
from reproductions.statistics import holm, paired_interval
from reproductions.tables import read_table, table_path, write_table
from tests.factories import BERT, make_trace, store
from tests.fuzz.harness import contents

NAME = "self-distillation"
RULES = SINGLE.rules()
SCALED = {name for name, rule in RULES.items() if rule.unnormalised}


def task_traces(*tasks, seeds=(7,), samples=150, **options):
    """FastBERT's test and dev traces, and one training without dev."""
    kinds = [{}, {"split": "dev"}, {"training": "labels"}]
    made = [{"task": task, "seed": seed} | kind for task in tasks for seed in seeds for kind in kinds]
    return [make_trace(samples, **one, **options) for one in made]


@pytest.fixture(scope="module")
def traces():
    return task_traces("ag-news", classes=4) + task_traces("lcqmc")


@pytest.fixture(scope="module")
def tables(traces):
    return measured(traces)


def row(tables, rule):
    board = tables["leaderboard"].set_index(["task", "training", "rule"])
    return board.loc[("ag-news", NAME, rule)]


def trace_of(traces, split):
    """Of the first task, by FastBERT's own training."""
    return next(t for t in traces if (t.metadata["split"], t.metadata["training"]) == (split, NAME))


def test_entropy_s_curve_is_speed_accuracy_s_to_the_last_digit(tmp_path, monkeypatch):
    monkeypatch.setattr(statistics, "RESAMPLES", 10)  # of intervals, which are not looked at
    some = task_traces("book-review", seeds=(7, 8), samples=60)[:2] + task_traces("my-task", samples=100, classes=3)
    some += [make_trace(60, seed=8), make_trace(60, seed=8, split="dev"), make_trace(60, training="reverse-kl")]
    printed = pd.DataFrame(columns=["task", "speed", "accuracy", "speedup", "source"]).astype({"speed": float})
    tables = {"exit_rules": measured(some)["exit_rules"], "speed_accuracy": speed_accuracy(some, printed)}
    for name, table in tables.items():
        write_table(tmp_path, name, table)
    curves, rules = (read_table(tmp_path, name) for name in ("speed_accuracy", "exit_rules"))
    names = {"FastBERT": NAME, "FastBERT without self-distillation": "labels", "FastBERT with reverse KL": "reverse-kl"}
    curves = curves.assign(training=curves["model"].map(names), threshold=curves["speed"])
    both = curves.merge(rules[rules["rule"] == "entropy"], on=["task", "training", "threshold"], suffixes=("", "_rule"))
    assert {*both["training"]} == {*names.values()}
    assert len(both) > 40
    for column in ("accuracy", "mean_layers", "speedup", "seeds", "run_id"):
        assert both[column].tolist() == both[f"{column}_rule"].tolist()


def test_every_rule_has_its_curve_on_every_task_and_training(tables):
    rules = tables["exit_rules"]
    assert {*rules["rule"]} == {*RULES, *BOUNDS} - SCALED
    assert len({*RULES} - SCALED) >= 15
    unfitted = {name for name, rule in RULES.items() if not rule.needs_fit} - SCALED
    for (_, training), mine in rules.groupby(["task", "training"]):
        assert {*mine["rule"]} == ({*RULES} - SCALED if training == NAME else unfitted) | {*BOUNDS}
    for _, mine in rules.groupby(["task", "training", "rule"]):
        assert 2 <= len(mine) <= 31
        assert (np.diff(mine["threshold"]) > 0).all()
        assert (np.diff(mine["mean_layers"]) <= 0).all()
        assert mine["mean_layers"].iloc[0] == 12
        assert mine["threshold"].iloc[0] == 0
    assert (rules.groupby(["task", "training", "rule"]).size().loc[:, NAME, "gate"] > 20).all()


def test_a_point_of_a_curve_is_what_its_threshold_comes_to_as_written(tables, traces, tmp_path):
    write_table(tmp_path, "exit_rules", tables["exit_rules"])
    rules, test = read_table(tmp_path, "exit_rules"), trace_of(traces, "test")
    for name in ("max-prob", "patience", "beem-cost", "vote", "random", "oracle-teacher"):
        mine = rules[(rules["rule"] == name) & (rules["task"] == "ag-news") & (rules["training"] == NAME)]
        for point in mine.iloc[:: 1 + len(mine) // 9].itertuples():
            outcome = at_threshold(test, point.threshold, name)
            assert (point.accuracy, point.mean_layers) == (round(outcome.accuracy, 2), round(outcome.mean_layers, 3))


@pytest.mark.parametrize("name", ["entropy", "gate", "patience", "max-prob-tempered"])
def test_thresholds_are_solved_on_dev_and_reported_on_test(tables, traces, name):
    dev, test = trace_of(traces, "dev"), trace_of(traces, "test")
    rule = RULES[name].fit(dev.probabilities, dev.labels)
    cost = [at_layer(dev, layer).flops for layer in range(1, 13)]
    for target in (2, 3):
        choice = by_speedup(rule.score(dev.probabilities), np.array(cost), dense(dev).flops, target)
        outcome = at_threshold(test, choice.threshold, rule)
        assert row(tables, name)[f"accuracy_{target}x"] == pytest.approx(outcome.accuracy)
        assert row(tables, name)[f"speedup_{target}x"] == pytest.approx(outcome.speedup)


def test_what_no_threshold_reaches_is_missing(tables):
    for name, missing in (("patience", True), ("pcee-3", True), ("entropy", False), ("static-layer", False)):
        assert np.isnan(row(tables, name)["accuracy_6x"]) == np.isnan(row(tables, name)["speedup_6x"]) == missing


def test_the_difference_to_entropy_is_paired_and_at_equal_layers(tables, traces):
    test = trace_of(traces, "test")
    for name in ("max-prob", "vote", "mean-ensemble", "random"):
        found = row(tables, name)
        assert found["layers"] <= 4
        sides = []
        for rule, most in ((name, 4.0), ("entropy", found["layers"])):
            scores, answers = judged(test, rule)
            depths = (exit_layers(scores, np.nextafter(score, 2)) for score in np.unique(scores))
            depth = next(depth for depth in depths if depth.mean() <= most + 1e-9)
            sides.append(answers[np.arange(len(depth)), depth - 1] == test.labels)
        one, other = (side[None] for side in sides)
        assert found["difference"] == pytest.approx(100 * (one.mean() - other.mean()))
        np.testing.assert_allclose(
            found[["difference_low", "difference_high"]].astype(float), 100 * np.array(paired_interval(one, other))
        )
    assert row(tables, "entropy")["difference"] == 0
    assert np.isfinite(row(tables, "caching")["mcnemar_p"])


def test_p_values_are_corrected_over_tasks(tables):
    for _, mine in tables["leaderboard"].groupby("rule"):
        assert len(mine) == 2
        np.testing.assert_array_equal(mine["mcnemar_p_holm"], holm(mine["mcnemar_p"]))


def test_oracles_bound_every_rule_and_chance_lies_below_all(tables):
    board = tables["leaderboard"]
    assert (board["gap_label"] >= -1e-9).all()
    for name in ("label", "teacher"):
        assert (board.loc[board["rule"] == f"oracle-{name}", f"gap_{name}"].abs() < 1e-9).all()
    for _, mine in board.groupby("task"):
        area = mine.set_index("rule")["area"]
        assert area.idxmax() == "oracle-label"
        assert area["random"] < area["entropy"] < area["oracle-teacher"]


def test_trainings_without_dev_and_models_without_exits_are_not_on_the_leaderboard(tables, traces):
    assert {*tables["leaderboard"]["training"]} == {NAME}
    student = {**BERT, "layers": 6}
    distilbert = make_trace(150, 4, "ag-news", training="distilbert-6", encoder=student, layers=[6])
    again = measured([*(t for t in traces if t.metadata["task"] == "ag-news"), distilbert])
    assert {*again["exit_rules"]["training"]} == {NAME, "labels"}
    assert [*measured(traces[:1])["leaderboard"]] == [*TABLES["leaderboard"]]  # of no rows


def test_energy_has_rows_where_traces_keep_the_scale_of_the_logits(traces):
    some = [t for t in traces if t.metadata["task"] == "lcqmc"]
    of = "lcqmc (labels, self-distillation)"
    assert left_out(some) == [f"rule energy: no row for {of}, whose traces keep no logsumexp"]
    scaled = [dataclasses.replace(t, logsumexp=(9 - 8 * t.uncertainties).astype(np.float32)) for t in some]
    assert left_out(scaled) == []
    assert "energy" in {*measured(scaled)["leaderboard"]["rule"]}


@pytest.fixture
def results(tmp_path):
    """A results folder of two tasks."""
    store(tmp_path / "standard", task_traces("lcqmc", "weibo", samples=60))
    return tmp_path


OF_BUDGET = {title.format(rule="entropy"): table for table, title in operating_points.SHOWN.values()}
OF = "lcqmc (labels, self-distillation); weibo (labels, self-distillation)"
LEFT_OUT = f"rule energy: no row for {OF}, whose traces keep no logsumexp"


@pytest.mark.parametrize(
    ("command", "names", "titles", "warned"),
    [
        ("rules", ["exit_rules", "leaderboard"], ["self-distillation, lcqmc"], [LEFT_OUT]),
        ("budget", OF_BUDGET.values(), OF_BUDGET, []),
    ],
)
def test_the_command_writes_its_tables_of_all_tasks_and_prints_those_named(
    command, names, titles, warned, results, capsys, caplog
):
    assert cli.main([command, "lcqmc", "--results-dir", str(results)]) == 0
    printed = capsys.readouterr().out
    assert all(f"{title}:" in printed for title in titles)
    assert "lcqmc" in printed
    assert "weibo" not in printed
    assert caplog.messages == warned
    for name in names:
        assert {*read_table(results / "standard", name)["task"]} == {"lcqmc", "weibo"}
    first = contents(results)
    assert cli.main([command, "all", "--results-dir", str(results)]) == 0
    assert contents(results) == first


@pytest.mark.parametrize(("command", "told"), [("rules", "self-distillation, means of 2 tasks:"), ("budget", "weibo")])
def test_without_a_folder_the_command_reads_what_is_committed_and_writes_if_told_to_publish(
    command, told, results, capsys, monkeypatch
):
    monkeypatch.setattr(cli, "committed", lambda name: results)
    for module in (cli, commands):
        monkeypatch.setattr(module, "is_committed", lambda path, *names: path == results)
    before = contents(results)
    assert cli.main([command, "all"]) == 0
    assert contents(results) == before
    assert told in capsys.readouterr().out
    assert cli.main([command, "lcqmc", "--results-dir", str(results)]) == 2
    assert "expected --publish or another folder" in capsys.readouterr().err
    written = results / "pages.md"
    monkeypatch.setattr(pages, "write", lambda: [written])
    assert cli.main([command, "all", "--publish"]) == 0
    tables = {"rules": ["exit_rules", "leaderboard"], "budget": OF_BUDGET.values()}[command]
    paths = [table_path(results / "standard", name) for name in tables]
    assert {*map(str, [*paths, written])} <= {*capsys.readouterr().out.splitlines()}
    assert {path for path in contents(results) if path not in before} == {*paths}


@pytest.mark.parametrize(
    ("names", "found"), [(["dbpedia"], "no trace of dbpedia"), (["lcqmc", "weebo"], "did you mean 'weibo'?")]
)
def test_a_task_without_traces_is_named(results, capsys, names, found):
    before = contents(results)
    assert cli.main(["rules", *names, "--results-dir", str(results)]) == 2
    assert found in capsys.readouterr().err
    assert contents(results) == before


def test_a_task_of_ones_own_is_known_by_its_runs(tmp_path, capsys):
    store(tmp_path / "standard", task_traces("tickets", samples=20))
    assert cli.main(["rules", "tickets", "--results-dir", str(tmp_path)]) == 0
    assert cli.main(["rules", "tikets", "--results-dir", str(tmp_path)]) == 2
    error = capsys.readouterr().err
    assert error.startswith(f"error: task in {tmp_path / 'standard'}: found 'tikets', expected one of tickets, ")
    assert error.endswith("; did you mean 'tickets'?\n")


def test_the_board_counts_significant_tasks_and_leaves_out_what_a_task_lacks(tables):
    rows = tables["leaderboard"].assign(difference=1.0, difference_low=0.5, difference_high=1.5, mcnemar_p_holm=0.01)
    theirs = ["difference", "difference_low", "difference_high", "accuracy_2x"]
    rows.loc[rows["task"] == "lcqmc", theirs] = -1.0, -1.5, -0.5, np.nan
    means = board(rows).set_index("rule")
    assert {*means["better"]} == {*means["worse"]} == {"1"}
    assert {*means["2x"]} == {""}
    assert means.loc["entropy", "over entropy"] == "0.00"
    assert means.index[0] == "oracle-label"
    assert {"over entropy", "over spread"} == {
        board(of).columns[-3] for of in (rows, rows.assign(rule=rows["rule"].replace("entropy", "spread")))
    }
    board_of_less = board(rows[(rows["rule"] != "oracle-label") | (rows["task"] != "lcqmc")])["rule"]
    assert board_of_less.iloc[-1] == f"oracle-label, of {rows['task'].nunique() - 1}"
    assert board_text(rows[:0]) == "no training keeps a dev trace, which the leaderboard needs"


def test_another_model_s_traces_have_every_rule_at_its_own_costs(traces, tmp_path, capsys):
    of = [t for t in traces if t.metadata["task"] == "lcqmc" and t.metadata["seed"] == 7][:2]
    cost = np.diff(exit_costs(of[0])[0], prepend=0)
    for name, trace in (("theirs", of[0]), ("dev", of[1])):
        np.savez(tmp_path / f"{name}.npz", probabilities=trace.probabilities, labels=trace.labels, cost=cost)
    arguments = ["measure", "--trace", str(tmp_path / "theirs.npz"), "--results-dir", str(tmp_path)]
    assert cli.main([*arguments, "--calibration", str(tmp_path / "dev.npz")]) == 0
    assert "foreign, theirs:" in capsys.readouterr().out
    folder, ours = tmp_path / "foreign" / "theirs", measured(of)
    for name in ("exit_rules", "leaderboard"):
        theirs, mine = read_table(folder, name), ours[name]
        assert {*theirs["rule"]} == {*mine["rule"]}
    same = ["area", "gap_label", "gap_teacher", "layers", "difference"]
    found, expected = (table.set_index("rule")[same].sort_index() for table in (theirs, mine))
    pd.testing.assert_frame_equal(found, expected, atol=0.006)
    assert drawing(["--results-dir", str(tmp_path)]) == 0
    assert {path.stem for path in folder.glob("figures/**/*.png")} == {"exit_rules", "leaderboard", "exits"}
    assert cli.main(arguments) == 0
    assert "no leaderboard without --calibration" in capsys.readouterr().out
    assert {path.name for path in folder.glob("*.csv")} == {"exit_rules.csv", "exits.csv"}
    assert cli.main(["measure", "--calibration", str(tmp_path / "dev.npz")]) == 2
