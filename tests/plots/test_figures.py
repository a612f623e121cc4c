"""What the figures show, held against the tables: no pixel is looked at."""

import itertools

import numpy as np
import pandas as pd
import pytest
from matplotlib.collections import FillBetweenPolyCollection
from matplotlib.colors import to_hex

from fastbert_core.task_types import TASK_TYPES
from plots import load
from plots.curves import PAPER_DENSE, PAPER_LAYER
from plots.registry import FIGURES
from plots.style import METHODS, PAPER, distances
from reproductions.figure3_speed_accuracy import MODELS
from reproductions.tables import read_table

# Of no figure or table of the paper.
UNNAMED = "grid encoders trainings speed_speedup leaderboard exit_rules exits budget guarantees".split()


@pytest.fixture(scope="module")
def table(measured):
    return lambda name: read_table(measured, name)


def lines(axes, label):
    return [np.column_stack(line.get_data()).astype(float) for line in axes.lines if line.get_label() == label]


def hollow(axes):
    found = lines(axes, PAPER)
    return np.concatenate(found) if found else np.empty((0, 2))


def curve(axes, model="FastBERT"):
    return np.concatenate(lines(axes, model))


def texts(figure):
    return "\n".join(text.get_text() for text in figure.texts)


def test_the_curve_is_the_tables(draw, table):
    rows = table("speed_accuracy").query("model == 'FastBERT'")
    left, right = draw("speed_accuracy").axes
    for axes, x in ((left, "speedup"), (right, "mean_layers")):
        np.testing.assert_array_equal(curve(axes), rows[[x, "accuracy"]])
        bands = [c for c in axes.collections if isinstance(c, FillBetweenPolyCollection)]
        heights = np.concatenate([path.vertices[:, 1] for band in bands for path in band.get_paths()])
        assert (heights.min(), heights.max()) == (rows["accuracy_low"].min(), rows["accuracy_high"].max())


def test_an_end_on_the_wrong_side_of_its_point_has_no_distance():
    rows = pd.DataFrame({"gain": [2.0, 0.0], "gain_low": [1.0, 0.25], "gain_high": [4.0, 0.5]})
    assert [side.tolist() for side in distances(rows, "gain")] == [[1, 0], [2, 0.5]]


def test_a_curve_is_broken_where_no_speed_is_measured_between(draw):
    def leaping(rows):
        at = rows["mean_layers"].where(rows["speed"] < 0.995, 1)
        return rows.assign(mean_layers=at.where(rows["speed"] >= 0.995, 3.8 + 8.2 * (1 - rows["speed"])))

    (axes,) = draw("ablation", speed_accuracy=leaping).axes
    for model in ("FastBERT", "FastBERT without self-distillation"):
        before, after = lines(axes, model)
        assert (len(before), len(after)) == (100, 1)
        assert np.abs(np.diff(before[:, 0])).max() < 1.1
    joined = [line for line in axes.lines if len(line.get_xdata()) == 101]
    assert len(joined) == len(MODELS)
    assert all(line.get_linewidth() < 1 and line.get_label().startswith("_") for line in joined)
    assert "none is measured between" in texts(draw("ablation", speed_accuracy=leaping))


def test_the_papers_points_are_hollow_and_converted_to_layers(draw, table):
    left, right = draw("speed_accuracy").axes
    printed = table("speed_accuracy").dropna(subset="reported_accuracy")
    rivals = table("table2").query("model != 'FastBERT'")
    expected = {*zip(printed["reported_speedup"], printed["reported_accuracy"], strict=True)}
    expected |= {*zip(rivals["reported_speedup"], rivals["reported_accuracy"], strict=True)}
    assert {*map(tuple, hollow(left))} == expected
    assert len(printed) == 20
    layers = dict(hollow(right)[:, ::-1])  # accuracy: layers
    assert layers[81.58] == pytest.approx(1, abs=1e-3)  # speed 1 leaves at layer 1
    assert layers[86.64] == pytest.approx(PAPER_DENSE / PAPER_LAYER / 4.21)
    assert layers[83.31] == 6  # DistilBERT of 6 layers
    assert all(line.get_markerfacecolor() == "none" for line in left.lines if line.get_label() == PAPER)


def test_a_method_looks_the_same_in_every_figure(draw):
    colors = {}
    for name in ("speed_accuracy", "overview", "ablation", "convergence"):
        for axes in draw(name).axes:
            for handle, label in zip(*axes.get_legend_handles_labels(), strict=True):
                line = handle[0] if isinstance(handle, tuple) else handle
                for method in (m for m in METHODS if label in (m, f"fine-tuning: {m}")):
                    colors.setdefault(method, set()).add(to_hex(line.get_color()).upper())
    assert colors == {method: {METHODS[method].color.upper()} for method in METHODS if method in colors}
    assert {"BERT", "DistilBERT", *MODELS.values()} <= set(colors)
    for first, second in itertools.combinations(METHODS.values(), 2):
        assert first.color != second.color
        assert first.marker != second.marker


def test_a_task_with_fastbert_alone_is_drawn(draw):
    only = {"speed_accuracy": lambda rows: rows[rows["model"] == "FastBERT"]}
    alone = draw("speed_accuracy", **only, table2=lambda rows: rows[rows["model"].isin(["BERT", "FastBERT"])])
    labels = {label for axes in alone.axes for label in axes.get_legend_handles_labels()[1]}
    assert "BERT" in labels
    assert "DistilBERT" not in labels
    ablation = draw("ablation", **only, table3=lambda rows: rows[~rows["model"].str.contains("self|KL")])
    assert "without adaptive inference: fixed depth" in ablation.axes[0].get_legend_handles_labels()[1]


def test_an_overview_has_a_panel_for_each_task(draw):
    def four(rows):
        return pd.concat([rows.assign(task=f"task-{number}") for number in range(4)])

    figure = draw("overview", speed_accuracy=four, table2=four, comparisons=four)
    assert [axes.get_title().split("\n")[0] for axes in figure.axes] == [f"task-{k} (n = 60)" for k in range(4)]
    assert [axes.get_xlabel() != "" for axes in figure.axes] == [False, True, True, True]
    assert len({axes.get_ylim() for axes in figure.axes}) == 1


def test_the_overview_shows_points_lost_with_half_a_point_and_the_chosen_speed(draw, table):
    (axes,) = draw("overview").axes
    models, rows = table("table2"), table("speed_accuracy").query("model == 'FastBERT'")
    bert = models.query("model == 'BERT'").iloc[0]
    np.testing.assert_allclose(curve(axes)[:, 1], bert["accuracy"] - rows["accuracy"])
    printed = rows.dropna(subset="reported_accuracy")
    students = models.query("model == 'DistilBERT'")
    expected = bert["reported_accuracy"] - pd.concat([printed, students])["reported_accuracy"]
    np.testing.assert_allclose(np.sort(hollow(axes)[:, 1]), np.sort(expected))
    assert lines(axes, "half a point lost")[0][:, 1].tolist() == [0.5, 0.5]
    pairs = table("comparisons").query("against == 'BERT'")
    pair = pairs[pairs["setting"].str.endswith("chosen on dev")].iloc[0]
    (errorbar,) = axes.containers
    assert errorbar[0].get_ydata() == [-pair["difference"]]
    (bar,) = errorbar[2][0].get_segments()
    np.testing.assert_allclose(np.sort(bar[:, 1]), [-pair["difference_high"], -pair["difference_low"]])
    top, bottom = sorted(axes.get_ylim())
    assert top < min(curve(axes)[:, 1].min(), bar[:, 1].min())
    assert bottom > max(curve(axes)[:, 1].max(), bar[:, 1].max())
    kept = int(pair["difference"] >= -0.5)
    assert f"{kept} of 1 tasks lose at most half a point" in texts(draw("overview"))


def test_the_largest_gap_from_a_straight_line_is_named(draw):
    def bent(rows):
        rows = rows[rows["model"] == "FastBERT"]
        return rows.assign(speedup=1 + 10 * rows["speed"] - 4 * (rows["speed"] == 0.5), reported_speedup=np.nan)

    (axes,) = draw("speed_speedup", speed_accuracy=bent).axes
    assert axes.get_title().endswith("largest gap -4.0× at speed 0.5")
    np.testing.assert_allclose(lines(axes, "a straight line")[0][:, 1], 1 + 10 * np.arange(101) / 100)
    assert len(hollow(axes)) == 0


def test_luha_has_a_panel_for_each_classifier_with_the_papers_numbers_in_three(draw, table):
    rows = table("luha")
    figure = draw("luha")
    assert len(figure.axes) == 12
    for layer, axes in enumerate(figure.axes, start=1):
        mine = rows[(rows["layer"] == layer) & (rows["bin"] != "all")]
        whole = rows[(rows["layer"] == layer) & (rows["bin"] == "all")].iloc[0]
        assert axes.get_title() == f"layer {layer}: {whole['verdict']}, AUROC {whole['auroc']:.2f}"
        assert [bar.get_height() for bar in axes.patches] == mine["percent"].tolist()
        np.testing.assert_array_equal(hollow(axes)[:, 1], mine["reported_accuracy"].dropna())
        assert len(hollow(axes)) == (10 if layer in (1, 6, 12) else 0)
        bars = [bar for bar in axes.containers if hasattr(bar, "has_yerr")]
        filled = mine[mine["samples"] > 0]
        for few in (False, True):
            drawn = [bar[0] for bar in bars if bar.get_label().startswith("pale: fewer than 30") == few]
            expected = filled.loc[(filled["samples"] < 30) == few, "accuracy"]
            assert [y for marks in drawn for y in marks.get_ydata()] == expected.tolist()
            assert {marks.get_alpha() for marks in drawn} <= {0.35 if few else None}


def test_luha_tells_the_largest_rise_of_the_first_seed(draw):
    def risen(rows):
        rows = rows.assign(largest_rise=rows["layer"] - 3.0, largest_rise_high=rows["layer"] + 0.04)
        return pd.concat([rows, rows.assign(seed=8, largest_rise=99.0)])

    figure = draw("luha", luha=risen)
    for layer, axes in enumerate(figure.axes, start=1):
        assert axes.get_title().splitlines()[1:] == [f"rise {layer - 3:+}.0, at most {layer:+}.0"]
    assert "upper 95% bound" in texts(figure)


def test_further_seeds_of_luha_are_lines(draw):
    figure = draw("luha", luha=lambda rows: pd.concat([rows, rows.assign(seed=8)]))
    assert all(len(lines(axes, "other seeds")) == 1 for axes in figure.axes)
    assert "of seed 7" in texts(figure)


def test_exit_layers_are_bars_with_mean_and_median(draw, table):
    figure = draw("exit_layers")
    for axes, speed in zip(figure.axes, (0.3, 0.5, 0.8), strict=True):  # as those of the uncertainties
        assert axes.get_title().startswith(f"speed {speed}")
        assert axes.get_xticks().tolist() == list(range(1, 13))
        mine = table("exit_layers").query(f"speed == {speed}")
        assert [bar.get_height() for bar in axes.patches] == mine["percent"].tolist()
        assert lines(axes, "mean")[0][0, 0] == mine["mean_layers"].iloc[0]
        assert lines(axes, "median")[0][0, 0] == mine["median_layers"].iloc[0]
        np.testing.assert_array_equal(hollow(axes), mine[["exit_layer", "reported_percent"]].astype(float))


def test_uncertainty_is_shaded_by_layer_and_bin(draw, table):
    figure = draw("uncertainty")
    *panels, bar = figure.axes
    assert bar.get_ylabel() == "samples in a bin (logarithmic); white: none"
    for axes, speed in zip(panels, (0, 0.3, 0.5, 0.8), strict=True):
        mine = table("uncertainty").query(f"speed == {speed}")
        counts = axes.collections[0].get_array()
        one = axes.collections[0].to_rgba(1.0)[:3]
        assert 0.75 < min(one) < 0.95  # pale, whoever else is there, and yet not white
        assert axes.get_xticks().tolist() == list(range(1, 13))
        for layer, low in ((1, 0.0), (3, 0.45), (12, 0.95)):
            expected = mine.query(f"layer == {layer} and bin_low == {low}")["samples"].sum()
            shown = counts[round(low * 20), layer - 1]
            assert np.ma.is_masked(shown) if expected == 0 else shown == expected
        reaching = mine.groupby("layer")["samples"].sum()
        assert axes.texts[0].get_text() == "100"
        share = 100 * reaching.get(12, 0) / 60
        assert axes.texts[11].get_text() == ("<1" if 0 < share < 1 else f"{share:.0f}")
        assert len(axes.lines) == (speed > 0)


def test_a_layer_that_is_not_sure_of_all_samples_is_not_said_to_be(draw):
    def nearly_sure(rows):
        few = rows[rows["layer"] <= 2].drop_duplicates(["speed", "layer"])
        return few.assign(samples=few["layer"].map({1: 1000, 2: 3}))

    assert "layer 1 is sure enough of 99.7% of the samples" in texts(draw("uncertainty", uncertainty=nearly_sure))


def test_convergence_tells_stages_apart_and_says_what_lies_below(draw, table):
    rows = table("convergence")
    untrained = {"convergence": lambda rows: rows.assign(accuracy=rows["accuracy"].where(rows["epoch"] > 0, 7.1))}
    left, right = draw("convergence", **untrained).axes
    (arrow,) = left.texts
    assert (arrow.get_text(), arrow.xy[0], arrow.get_ha()) == ("↓", 0, "center")
    assert "at epoch 0, before training: 7.1, the paper's 51.0." in " ".join(
        texts(draw("convergence", **untrained)).split()
    )
    assert left.get_ylim()[0] > 51
    drawn = np.concatenate([line.get_xydata() for line in right.lines if line.get_label() != PAPER])
    np.testing.assert_allclose(drawn, np.column_stack([rows["epoch"], 100 / rows["speedup"]]))
    np.testing.assert_allclose(hollow(right)[:, 1], 100 * rows["reported_mflops"] / PAPER_DENSE)
    labels = left.get_legend_handles_labels()[1]
    assert {"fine-tuning: BERT", "self-distillation: FastBERT at speed 0.5"} <= set(labels)


def test_convergence_tells_the_last_epoch_that_all_seeds_have(draw, table):
    longest = table("convergence")["epoch"].max()

    def several(rows):
        return rows.assign(seeds=rows["seeds"].where(rows["epoch"] == longest, "7;8;9"))

    said = " ".join(texts(draw("convergence", convergence=several)).split())
    assert f"after {longest - 1} epochs" in said
    assert f"After epoch {longest - 1} some seeds had ended." in said
    whole = texts(draw("convergence"))
    assert f"after {longest} epochs" in whole
    assert "had ended" not in whole


def test_the_ablation_shows_variants_at_equal_cost(draw, table):
    (axes,) = draw("ablation").axes
    rows = table("table3")
    fixed = rows[rows["model"] == "FastBERT without adaptive inference"].sort_values("mean_layers")
    assert fixed["mean_layers"].tolist() == list(range(1, 13))
    (errorbar,) = axes.containers
    np.testing.assert_array_equal(errorbar[0].get_xydata(), fixed[["mean_layers", "accuracy"]])
    shown = rows.dropna(subset=["paper_layers", "reported_accuracy"])
    assert {*map(tuple, hollow(axes))} == {*zip(shown["paper_layers"], shown["reported_accuracy"], strict=True)}
    assert len(shown) == 6
    for model in MODELS.values():
        assert len(curve(axes, model)) == 101
    assert axes.get_xticks().tolist() == list(range(1, 13))


def test_every_rule_s_curve_is_in_the_panel_of_its_family_beside_entropy(draw, table):
    rows = table("exit_rules").query("training == 'self-distillation'")
    figure = draw("exit_rules")
    shown = {}
    for axes in figure.axes:
        texts = [text.get_text() for text in axes.get_legend().get_texts()]
        assert texts[:2] == ["random", "entropy"]
        curves = [line for line in axes.lines if len(line.get_xdata()) > 1]
        shown |= dict(zip(texts, curves, strict=True))
        points = [line.get_xydata().tolist() for line in axes.lines if len(line.get_xdata()) == 1]
        oracles = rows[rows["rule"].str.startswith("oracle")].sort_values("mean_layers").groupby("rule").first()
        assert points == oracles[["mean_layers", "accuracy"]].to_numpy()[:, None].tolist()
    assert {*shown} == {*rows["rule"]} - {"oracle-label", "oracle-teacher"}
    for rule, line in shown.items():
        np.testing.assert_array_equal(line.get_xydata(), rows.loc[rows["rule"] == rule, ["mean_layers", "accuracy"]])
    assert not figure.legends


def test_the_title_of_exit_rules_speaks_of_the_points_that_are_drawn(draw, table):
    rows = table("exit_rules").query("training == 'self-distillation' and not rule.str.startswith('oracle')")
    best = rows[rows["mean_layers"] <= 6].groupby("rule")["accuracy"].max()
    said = f"of the points up to 6 layers none is more than {best.max() - best['entropy']:.2f} above entropy's best"
    assert said in texts(draw("exit_rules"))


def test_a_new_rule_has_a_panel_of_its_own(draw):
    figure = draw("exit_rules", exit_rules=lambda rows: rows.replace({"rule": {"gate": "mine"}}))
    assert figure.axes[-1].get_title() == "other rules"
    assert figure.axes[-1].get_legend().get_texts()[2].get_text() == "mine"


def test_a_training_s_difference_stands_in_the_panel_of_its_layers(draw, table):
    rows = table("trainings").query("against == 'self-distillation' and training != against")
    rows = rows[rows["rule"].isin(["entropy", "none"])]
    figure = draw("trainings")
    order = [label.get_text() for label in figure.axes[0].get_yticklabels()]
    shown = {}
    for axes in figure.axes:
        (errorbar,) = axes.containers
        at = {"last layer": 12}.get(axes.get_title()) or int(axes.get_title().removesuffix(" layers"))
        for x, y, bar in zip(*errorbar[0].get_data(), errorbar[2][0].get_segments(), strict=True):
            shown[order[round(y)], at] = [x, *bar[:, 0]]
    said = rows.set_index(["training", "layers"])[["difference", "difference_low", "difference_high"]]
    assert {*shown} == {*said.index}
    np.testing.assert_allclose([*shown.values()], said.loc[[*shown]])


def test_encoders_stand_at_their_flops_and_accuracies(draw, table):
    (axes,) = draw("encoders").axes
    for name, rows in table("encoders").groupby("backbone"):
        for form, whole in (("all layers", True), ("early exit", False)):
            mine = rows[rows["setting"].str.endswith(" layers") == whole]
            (errorbar,) = (bar for bar in axes.containers if bar.get_label() == f"{name} (bert), {form}")
            points = map(tuple, errorbar[0].get_xydata())
            assert sorted(points) == sorted(zip(mine["mflops"], mine["accuracy"], strict=True))
            ends = np.sort([bar[:, 1] for bar in errorbar[2][0].get_segments()], axis=None)
            np.testing.assert_allclose(ends, np.sort(mine[["accuracy_low", "accuracy_high"]], axis=None))


def test_each_panel_of_the_grid_has_its_own_column_by_settings(draw, table):
    def told_apart(rows):
        own = np.arange(len(rows)) / 100
        return rows.assign(first_exit=40 + own, accuracy=70 + own, mean_layers=6 + own)

    rows = told_apart(table("grid")).query("classes_answered > 1").astype({"distillation_epochs": float})
    panels = draw("grid", grid=told_apart).axes
    for axes, column in zip(panels, ("first_exit", "accuracy", "mean_layers"), strict=True):
        assert len(axes.lines) == 6
        for line in axes.lines:
            start, adamw, rate = line.get_label().split(", ")
            corrected = {"corrected": "yes", "uncorrected": "no"}[adamw]
            of = rows[(rows["classifier_init"] == start) & (rows["bias_correction"] == corrected)]
            of = of[of["distillation_rate"] == float(rate.removeprefix("rate "))].sort_values("distillation_epochs")
            np.testing.assert_array_equal(line.get_xydata(), of[["distillation_epochs", column]])
    assert [axes.get_title() for axes in panels] == [
        "layer 1 alone, accuracy (%)",
        "speed 0.5, accuracy (%)",
        "speed 0.5, mean layers",
    ]


def test_each_exit_has_a_point_for_its_auroc_and_for_overthinking(draw, table):
    rows = table("exits").query("training == 'self-distillation'")
    auroc, errors = draw("exits").axes
    (task,) = rows["task"].unique()
    np.testing.assert_allclose(np.concatenate(lines(auroc, task))[:, 1], 100 * rows["failure_auroc"])
    np.testing.assert_allclose(np.concatenate(lines(errors, task))[:, 1], rows["destructive"])


def test_the_leaderboard_has_a_cell_for_each_rule_and_task_and_their_mean(draw, table):
    def two(rows):
        other = rows.assign(task="weibo", difference=1.5, mcnemar_p_holm=0.01)
        other.loc[other["rule"] == "vote", "difference"] = np.nan
        return pd.concat([rows, other])

    rows = table("leaderboard").set_index("rule")["difference"]
    axes = draw("leaderboard", leaderboard=two).axes[0]
    rules = [label.get_text() for label in axes.get_yticklabels()]
    assert [label.get_text() for label in axes.get_xticklabels()] == ["book-review", "weibo", "mean"]
    assert {*rules} == {*rows.index} - {"entropy", "oracle-label", "oracle-teacher"}
    spread = draw("leaderboard", leaderboard=lambda rows: rows.replace({"rule": {"entropy": "spread"}})).axes[0]
    assert "spread" not in [label.get_text() for label in spread.get_yticklabels()]
    assert rules[-1] == "vote"
    shown = np.ma.filled(axes.images[0].get_array(), np.nan)
    np.testing.assert_allclose(shown[:, 0], rows[rules])
    means = (shown[:-1, 0] + 1.5) / 2
    np.testing.assert_allclose(shown[:-1, 2], means)
    assert (np.diff(means[~np.isnan(means)]) <= 0).all()
    assert np.isnan(shown[-1, 1:]).all()
    cells = {text.get_position(): text.get_text() for text in axes.texts}
    assert cells[1, 0] == "+1.5*"
    assert (1, len(rules) - 1) not in cells
    title = texts(draw("leaderboard", leaderboard=two))
    assert f"{rules[0]} leads, {means[0]:+.2f} points on average, significant on 1 of 2 tasks" in title
    assert "book-review: exit rules beside entropy" in texts(draw("leaderboard"))
    behind = texts(draw("leaderboard", leaderboard=lambda rows: two(rows).assign(difference=-1.0)))
    assert "none that is for all tasks is ahead on average" in behind


def test_what_was_asked_is_held_against_what_was_reached_beside_the_speed_s_curve(draw, table):
    left, right = draw("budget").axes
    rows = table("budget").query("rule == 'entropy' and unit == 'FLOPs'")
    speeds = table("speed_accuracy").query("model == 'FastBERT'")
    (curve,) = left.lines
    np.testing.assert_array_equal(curve.get_xydata(), speeds[["speed", "speedup"]])
    diagonal, points = right.lines
    assert diagonal.get_xydata().tolist() == [[0, 0], [10, 10]]
    np.testing.assert_allclose(points.get_xydata(), rows[["target", "speedup"]] - [0.12, 0])
    worst = rows["error"].abs().max()
    assert points.get_label() == f"by 60 dev rows, at most {worst:.1f}% off"

    def more(rows):
        return pd.concat([rows, rows.assign(calibration="test", rows=2000, task="weibo")])

    figure = draw("budget", budget=more)
    assert "2 tasks" in texts(figure)
    assert figure.axes[1].lines[-1].get_label().startswith("by 2,000 test rows")


@pytest.mark.parametrize("rule", sorted({kind.base for kind in TASK_TYPES.values()}))
def test_what_was_asked_of_any_task_type_is_of_its_own_rule(draw, rule):
    def of_type(rows):
        return rows[rows["rule"] == "entropy"].assign(rule=rule)

    assert len(draw("budget", budget=of_type).axes[1].lines) == 2
    assert "book-review: a speedup that is asked" in texts(draw("budget", budget=of_type))


def test_promised_is_held_against_kept_by_task_method_and_rows(draw, table):
    def two(rows):
        return pd.concat([rows, rows.assign(task="weibo", broken=rows["broken"] / 2)])

    rows = two(table("guarantees")).query("loss == 'agreement' and draws > 1")
    figure = draw("guarantees", guarantees=two)
    assert [label.get_text() for label in figure.axes[0].get_yticklabels()] == ["weibo", "book-review"]
    for axes, epsilon in zip(figure.axes, (0.5, 1, 2), strict=True):
        assert axes.get_title() == f"at most {epsilon:g}% lost"
        promised, *points = axes.lines
        assert {*promised.get_xdata()} == {10}
        assert len(points) == 4
        for line in points:
            method, size = line.get_label().removesuffix(" rows").split(", ")
            mine = rows[(rows["epsilon"] == epsilon) & (rows["method"] == method)]
            mine = mine[mine["rows"] == int(size.replace(",", ""))].set_index("task")["broken"]
            assert line.get_xydata().tolist() == [[mine["book-review"], 1], [mine["weibo"], 0]]


def test_a_promise_broken_more_often_than_it_may_is_not_rounded_to_a_kept_one(draw):
    said = texts(draw("guarantees", guarantees=lambda rows: rows.assign(broken=10.5)))
    assert "at worst: learn-then-test 10.5%, naive 10.5%" in said


def test_each_way_of_serving_has_a_line_of_its_medians_and_one_of_its_99th_percentiles():
    labels = {
        "dense": "without exits",
        "waiting": "exits, waiting for the slowest",
        "ours": "exits, re-formed at every layer",
    }
    one = {"task": "book-review", "machine": "x; 1 threads; avx2; torch 2", "device": "cpu", "precision": "fp32"}
    one |= {"date": "2026-01-02T03:04:05+00:00", "objective_ms": 50.0, "goodput": 1.0}
    told = itertools.product(("bursty", "poisson"), labels, (40.0, 20.0, 10.0))
    rows = pd.DataFrame(one | dict(zip(("arrivals", "way", "rate"), of, strict=True)) for of in told)
    at = np.arange(len(rows)) + 1.0
    rows = rows.assign(p50_ms=at, p95_ms=100 + at, p99_ms=200 + at)
    for axes, arrivals in zip(load.draw({"load": rows}).axes, ("bursty", "poisson"), strict=True):
        assert axes.get_title() == f"book-review:\nAVX2, cpu, fp32, {arrivals}"
        assert {*lines(axes, "objective")[0][:, 1]} == {50}
        for way, label in labels.items():
            mine = rows[(rows["arrivals"] == arrivals) & (rows["way"] == way)].sort_values("rate")
            for column in ("p50", "p99"):
                (line,) = lines(axes, f"{label}, {column}")
                np.testing.assert_array_equal(line, mine[["rate", f"{column}_ms"]])


@pytest.mark.parametrize("name", FIGURES)
def test_labels_units_samples_and_seed_are_stated_and_nothing_overlaps(draw, name):
    figure = draw(name)
    said = texts(figure)
    assert "n = 60 " in said
    assert "seed 7;" in said
    assert "20000 training rows" in said
    assert "google-bert/bert-base-chinese" in said
    assert "code 0000000" in said
    assert all(axes.get_xlabel() or axes.get_ylabel() for axes in (figure.axes[0], figure.axes[-1]))
    boxes = [text.get_window_extent() for text in figure.texts]
    boxes += [legend.get_window_extent() for legend in figure.legends]
    boxes += [axes.get_tightbbox() for axes in figure.axes]
    page = figure.bbox.padded(0.5)
    assert all(page.x0 <= box.x0 and page.y0 <= box.y0 and box.x1 <= page.x1 and box.y1 <= page.y1 for box in boxes)
    assert not [pair for pair in itertools.combinations(boxes, 2) if pair[0].padded(-1).overlaps(pair[1].padded(-1))]


@pytest.mark.parametrize("name", FIGURES)
def test_a_task_of_ones_own_is_not_said_to_be_the_papers(draw, name):
    def own(rows):
        reported = [column for column in rows if column.startswith("reported") or column == "paper_layers"]
        noted = {"note": "local files"} if "setting" in rows else {}
        return rows.assign(task="tickets", **dict.fromkeys(reported, np.nan), **noted)

    figure = draw(name, **dict.fromkeys(FIGURES[name].tables, own))
    said = [texts(figure)]
    for axes in figure.axes:
        said += [axes.get_title(), *axes.get_legend_handles_labels()[1]]
    said = "\n".join(said)
    assert "tickets" in said
    assert "paper" not in said
    assert "(figure" not in said
    assert "(table" not in said
    title = texts(draw(name))
    assert ("(figure" in title or "(table" in title) == (name not in UNNAMED)
